// Which files a tab's commands find.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Project } from "../../lib/tabs";
import { bytes } from "../../lib/format";
import { Icon } from "../../ui/icon";
import { sendProject } from "./upload";

interface ProjectProps {
  project: Project | null;
  choose: (project: Project | null) => void;
}

/** An upload that is under way. */
interface Sending {
  words: string;
  /** The network is cut, or the server busy. */
  waits: boolean;
}

interface Sender {
  sending: Sending | null;
  problem: string | null;
  take: (file: File) => void;
  cancel: () => void;
}

/** Sends what was chosen; ended with the component. */
function useSender(choose: ProjectProps["choose"]): Sender {
  const [sending, setSending] = useState<Sending | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => () => abort.current?.abort(), []);
  const send = async (file: File): Promise<void> => {
    const { signal } = (abort.current = new AbortController());
    const change = (part: Partial<Sending>): void => {
      if (!signal.aborted) setSending((before) => before && { ...before, ...part });
    };
    setProblem(null);
    setSending({ words: `0 of ${bytes(file.size)}`, waits: false });
    const told = { sent: (now: { sent: number }) => change({ words: `${bytes(now.sent)} of ${bytes(file.size)}` }), waits: (waiting: unknown) => change({ waits: waiting !== null }) };
    try {
      const project = await sendProject(file, told, signal);
      if (!signal.aborted) choose(project);
    } catch (error) {
      if (!signal.aborted) setProblem(error instanceof Error ? error.message : String(error));
    }
    if (!signal.aborted) setSending(null);
  };
  const cancel = (): void => {
    abort.current?.abort();
    setSending(null);
  };
  return { sending, problem, take: (file) => void send(file), cancel };
}

export function ProjectPicker({ project, choose }: ProjectProps) {
  const input = useRef<HTMLInputElement>(null);
  const { sending, problem, take, cancel } = useSender(choose);
  const chosen = (field: HTMLInputElement): void => {
    const file = field.files?.[0];
    if (file) take(file);
    field.value = ""; // the same file may be chosen again
  };
  return (
    <div class="tab-project">
      <span>Files</span>
      <input ref={input} type="file" accept=".zip,application/zip" class="hidden" tabIndex={-1} aria-hidden="true" onChange={(event) => chosen(event.currentTarget)} />
      <button type="button" class="button small" disabled={sending !== null} onClick={() => input.current?.click()}>
        <Icon name="upload" /> {sending?.words ?? project?.filename ?? "none; choose a ZIP"}
      </button>
      {sending ? (
        <button type="button" class="button small" onClick={cancel}>
          Cancel
        </button>
      ) : null}
      {project && !sending ? (
        <button type="button" class="button quiet small" onClick={() => choose(null)}>
          Without files
        </button>
      ) : null}
      <span class="tab-waits" role="status">{sending?.waits ? "Waiting for the connection… It goes on by itself." : ""}</span>
      {problem ? (
        <span class="field-error" role="alert">
          {problem}
        </span>
      ) : null}
    </div>
  );
}
