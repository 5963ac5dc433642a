// The start page: a project, commands, Run.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getInfo } from "../../api/calls";
import { usePolled } from "../../api/use";
import type { Info } from "../../api/types";
import { remember } from "../../lib/history";
import { useCommands } from "../../ui/commands";
import { Icon } from "../../ui/icon";
import { useFilling } from "./again";
import { ActionBar } from "./action-bar";
import { change, draft, optionNames, type Errors, type FieldName, type Mode } from "./draft";
import { Editor } from "./editor";
import { HistoryDialog } from "./history-dialog";
import { Options } from "./options";
import { source, takeDrop, uploadMax } from "./source";
import { pick, SourcePanel } from "./source-panel";
import { problems, progress, refusal, run } from "./submit";
import "./run.css";

const INFO_MS = 30_000;
const inOrder: readonly FieldName[] = ["source", "command", "mode", ...optionNames];

/** Files may be dropped anywhere on the page. */
function useDrop(): boolean {
  const over = useSignal(false);
  useEffect(() => {
    const files = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
    const dragged = (event: DragEvent): void => {
      if (!files(event)) return;
      event.preventDefault();
      over.value = true;
    };
    const left = (event: DragEvent): void => {
      if (event.relatedTarget === null) over.value = false;
    };
    const drop = (event: DragEvent): void => {
      over.value = false;
      if (!event.dataTransfer || !files(event)) return;
      event.preventDefault();
      void takeDrop(event.dataTransfer);
    };
    const abort = new AbortController();
    const { signal } = abort;
    document.addEventListener("dragenter", dragged, { signal });
    document.addEventListener("dragover", dragged, { signal });
    document.addEventListener("dragleave", left, { signal });
    document.addEventListener("drop", drop, { signal });
    return () => abort.abort();
  }, [over]);
  return over.value;
}

/** Ctrl Enter, wherever the focus is; and a question before the page is left with something under way. */
function useKeys(start: () => void): void {
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      start();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, [start]);
}

addEventListener("beforeunload", (event) => {
  if (progress.value || source.value.kind === "packing") event.preventDefault();
});

function focusOn(field: FieldName): void {
  const id = field === "mode" ? "run-mode-distributed" : `run-${field}`;
  window.setTimeout(() => {
    const element = document.getElementById(id);
    element?.focus();
    element?.scrollIntoView({ block: "center" });
  }, 0);
}

const modes: { mode: Mode; title: string; text: string }[] = [
  { mode: "distributed", title: "Distributed", text: "Any worker that fits and is free takes it." },
  { mode: "direct", title: "Direct", text: "A worker on the gateway’s own computer runs it, when that is free; refused while there is none." },
];

function ModeSwitch({ error, info }: { error: string | undefined; info: Info | null }) {
  const { mode } = draft.value;
  const nobody = info && info.totalWorkers === 0 ? " No worker is known yet: a job waits until one comes." : "";
  return (
    <fieldset class="mode">
      <legend class="hidden">Where it runs</legend>
      <div class="mode-choices">
        {modes.map((one) => (
          <label key={one.mode} class="mode-choice">
            <input type="radio" name="run-mode" id={`run-mode-${one.mode}`} aria-describedby="run-mode-more" checked={mode === one.mode} onChange={() => change({ mode: one.mode })} />
            <span>{one.title}</span>
          </label>
        ))}
      </div>
      <span id="run-mode-more" class={error ? "field-error" : "field-hint"} role={error ? "alert" : undefined}>
        {error ?? `${modes.find((one) => one.mode === mode)?.text ?? ""}${nobody}`}
      </span>
    </fieldset>
  );
}

function Commands({ error }: { error: string | undefined }) {
  const open = useSignal(false);
  const show = (): void => {
    open.value = true;
  };
  useCommands([{ id: "run-history", title: "Earlier commands", keys: "h", group: "Run", run: show }]);
  const take = (command: string): void => {
    remember(draft.value.command); // what stood there can be had back from the same list
    change({ command });
    open.value = false;
    focusOn("command");
  };
  return (
    <section aria-labelledby="run-command-title" class="run-part">
      <div class="run-part-head">
        <h2 id="run-command-title">Commands</h2>
        <button type="button" class="button quiet small" onClick={show}>
          <Icon name="clock" /> Earlier
        </button>
      </div>
      <Editor id="run-command" value={draft.value.command} error={error} onChange={(command) => change({ command })} />
      {open.value ? <HistoryDialog onPick={take} onClose={() => (open.value = false)} /> : null}
    </section>
  );
}

export default function Run() {
  useFilling();
  const over = useDrop();
  const asked = useSignal(false);
  const { data: info } = usePolled("run-info", INFO_MS, (signal) => getInfo({ signal }));
  useEffect(() => {
    uploadMax.value = info?.gateway?.uploadMax ?? uploadMax.value;
  }, [info]);
  const refused = refusal.value?.draft === draft.value && refusal.value.source === source.value ? refusal.value : null;
  const errors: Errors = asked.value ? problems(draft.value, source.value).errors : {};
  if (refused?.field) errors[refused.field] ??= refused.text;

  const start = (): void => {
    if (progress.value) return;
    const { wanted, errors: found } = problems(draft.value, source.value);
    const first = inOrder.find((field) => found[field]);
    asked.value = first !== undefined;
    if (first) return focusOn(first);
    void run(wanted, info).then(() => {
      if (refusal.value?.field) focusOn(refusal.value.field);
    });
  };
  useKeys(start);
  useCommands([
    { id: "run-start", title: "Run these commands", keys: "Ctrl Enter", group: "Run", run: start },
    { id: "run-edit", title: "Edit the commands", keys: "e", group: "Run", run: () => focusOn("command") },
    { id: "run-zip", title: "Choose a ZIP", keys: "z", group: "Run", run: () => pick("zip") },
    { id: "run-folder", title: "Choose a folder", keys: "f", group: "Run", run: () => pick("folder") },
  ]);
  return (
    <div class="run">
      <div class="page-head">
        <h1>Run</h1>
      </div>
      <SourcePanel error={errors.source} />
      <Commands error={errors.command} />
      <ModeSwitch error={errors.mode} info={info} />
      <Options errors={errors} />
      <ActionBar refusal={refused?.field ? null : refused} onRun={start} />
      {over ? (
        <div class="drop-over" aria-hidden="true">
          <div>
            <Icon name="upload" />
            Drop it: a ZIP, or a folder
          </div>
        </div>
      ) : null}
    </div>
  );
}
