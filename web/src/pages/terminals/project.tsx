// Which files a tab's commands find.

import { useRef, useState } from "preact/hooks";
import type { Project } from "../../lib/tabs";
import { bytes } from "../../lib/format";
import { Icon } from "../../ui/icon";
import { attempt } from "../../ui/toast";
import { uploadZip } from "./upload";

interface ProjectProps {
  project: Project | null;
  choose: (project: Project | null) => void;
}

export function ProjectPicker({ project, choose }: ProjectProps) {
  const input = useRef<HTMLInputElement>(null);
  const [sent, setSent] = useState<string | null>(null);
  const take = async (file: File | undefined): Promise<void> => {
    if (!file) return;
    setSent(`0 of ${bytes(file.size)}`);
    await attempt(async () => {
      const fileUrl = await uploadZip(file, (done) => setSent(`${bytes(done)} of ${bytes(file.size)}`));
      choose({ fileUrl, filename: file.name });
    });
    setSent(null);
    if (input.current) input.current.value = "";
  };
  return (
    <div class="tab-project">
      <span>Files</span>
      <input ref={input} type="file" accept=".zip,application/zip" class="hidden" tabIndex={-1} aria-hidden="true" onChange={(event) => void take(event.currentTarget.files?.[0])} />
      <button type="button" class="button small" disabled={sent !== null} onClick={() => input.current?.click()}>
        <Icon name="upload" /> {sent ?? project?.filename ?? "none; choose a ZIP"}
      </button>
      {project ? (
        <button type="button" class="button quiet small" onClick={() => choose(null)}>
          Without files
        </button>
      ) : null}
    </div>
  );
}
