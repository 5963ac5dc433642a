// The project: where it is dropped, and what was chosen.

import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { bytes, count, plural } from "../../lib/format";
import { onlyFolder, type Listing } from "../../lib/zip";
import { href } from "../../router";
import { Notice, Time } from "../../ui/basics";
import { Icon, type IconName } from "../../ui/icon";
import { filled, filling, fillFrom, stopFilling } from "./again";
import { canReadAgain, chooseFolder, chooseZip, clearSource, forgotten, includeGit, readAgain, source, type Ready, type Source } from "./source";

const TOP_SHOWN = 7;

/** Opens the browser's own dialog; `z` and `f` do so too. */
export function pick(what: "zip" | "folder"): void {
  document.getElementById(`run-pick-${what}`)?.click();
}

function Inputs() {
  const folder = useRef<HTMLInputElement>(null);
  return (
    <div hidden>
      <input
        id="run-pick-zip"
        type="file"
        aria-label="A ZIP"
        accept=".zip,application/zip,application/x-zip-compressed"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void chooseZip(file);
          event.currentTarget.value = "";
        }}
      />
      <input
        ref={folder}
        id="run-pick-folder"
        type="file"
        aria-label="A folder"
        {...{ webkitdirectory: true }}
        onChange={(event) => {
          const files = Array.from(event.currentTarget.files ?? []);
          if (files.length) void chooseFolder(files);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

function PickButtons({ small = false }: { small?: boolean }) {
  const look = small ? "button small" : "button";
  return (
    <>
      <button type="button" class={look} id="run-source" aria-describedby="run-source-more" onClick={() => pick("zip")}>
        <Icon name="file" /> Choose a ZIP
      </button>
      <button type="button" class={look} onClick={() => pick("folder")}>
        <Icon name="folder" /> Choose a folder
      </button>
    </>
  );
}

interface CardProps {
  icon: IconName;
  name: string;
  facts: ComponentChildren;
  children?: ComponentChildren;
  busy?: boolean;
}

function Card({ icon, name, facts, children, busy = false }: CardProps) {
  return (
    <div class={`source-card${busy ? " source-busy" : ""}`}>
      <span class="source-icon">
        <Icon name={icon} />
      </span>
      <div class="source-text">
        <strong>{name}</strong>
        <div class="source-facts figure">{facts}</div>
        {children}
      </div>
    </div>
  );
}

function Top({ listing }: { listing: Listing }) {
  const more = listing.top.length - TOP_SHOWN;
  const only = onlyFolder(listing);
  return (
    <>
      <div class="source-top">
        {listing.top.slice(0, TOP_SHOWN).map((name) => (
          <span key={name} class="chip">
            {name}
          </span>
        ))}
        {more > 0 ? <span class="faint">and {count(more)} more</span> : null}
      </div>
      {only ? (
        <p class="field-hint">
          All of it is in <code>{only}/</code>, and commands begin outside of it: write <code>cd {only} && …</code>
        </p>
      ) : null}
    </>
  );
}

function ReadyCard({ ready }: { ready: Ready }) {
  const { listing } = ready;
  const files = listing ? ` · ${plural(listing.files, "file")}, ${bytes(listing.bytes)} unpacked` : "";
  return (
    <Card
      icon={ready.from === "folder" ? "folder" : "file"}
      name={ready.name}
      facts={
        <>
          {bytes(ready.blob.size)}
          {files}
          {ready.from === "folder" ? <> · zipped <Time ms={ready.at} /></> : null}
          {ready.fileUrl ? " · already sent" : ""}
        </>
      }
    >
      {listing ? <Top listing={listing} /> : null}
      {ready.git ? (
        <label class="check">
          <input type="checkbox" checked={ready.withGit} onChange={(event) => void includeGit(event.currentTarget.checked)} />
          <span>
            Include <code>.git</code> <span class="faint">({plural(ready.git, "file")} {ready.withGit ? "of it in the ZIP" : "left out"})</span>
          </span>
        </label>
      ) : null}
    </Card>
  );
}

function Chosen({ now }: { now: Source }) {
  if (now.kind === "ready") return <ReadyCard ready={now} />;
  if (now.kind === "job")
    return <Card icon="again" name={now.filename} facts={<>the file of job <a href={href("job", now.jobId)}>{now.jobId}</a>; nothing is sent again</>} />;
  if (now.kind === "checking") return <Card icon="file" name={now.name} facts="Looking at it…" busy />;
  if (now.kind === "reading") return <Card icon="folder" name={now.name} facts={`Reading the folder… ${plural(now.files, "file")}`} busy />;
  if (now.kind === "packing")
    return (
      <Card icon="folder" name={now.name} facts={`Zipping… ${count(now.files)} of ${plural(now.filesAll, "file")}, ${bytes(now.bytes)} of ${bytes(now.bytesAll)}`} busy>
        <progress class="bar" aria-label="Zipping" value={now.bytes} max={Math.max(1, now.bytesAll)} />
      </Card>
    );
  return null;
}

function Actions({ now }: { now: Source }) {
  const busy = now.kind === "checking" || now.kind === "reading" || now.kind === "packing";
  return (
    <div class="source-actions">
      {busy ? null : <PickButtons small />}
      {now.kind === "ready" && now.from === "folder" && canReadAgain() ? (
        <button type="button" class="button small" onClick={() => void readAgain()}>
          <Icon name="again" /> Read it again
        </button>
      ) : null}
      <button type="button" class="button quiet small" onClick={clearSource}>
        <Icon name="cross" /> {busy ? "Cancel" : "Remove"}
      </button>
    </div>
  );
}

function Empty() {
  return (
    <div class="drop">
      <span class="drop-icon">
        <Icon name="upload" />
      </span>
      <p class="drop-title">Drop a ZIP or a folder here</p>
      <p class="faint">Anywhere on this page will do. A folder is zipped in your browser.</p>
      <div class="drop-buttons">
        <PickButtons />
      </div>
      {forgotten.value ? (
        <p class="drop-note">
          <strong>{forgotten.value}</strong> was chosen before the page was loaded again. A browser cannot keep files: choose it once more.
        </p>
      ) : null}
    </div>
  );
}

/** What is being done, in words that change seldom: for screen readers. */
function spoken(now: Source): string {
  if (now.kind === "reading") return "Reading the folder";
  if (now.kind === "packing") return `Zipping, ${Math.floor((now.bytes / Math.max(1, now.bytesAll)) * 4) * 25} percent`;
  if (now.kind === "ready") return `${now.name} is ready, ${bytes(now.blob.size)}`;
  return "";
}

function AgainNotes() {
  const on = filling.value;
  const done = filled.value;
  if (on?.error)
    return (
      <Notice
        kind="error"
        title={`${on.jobId} could not be read.`}
        action={
          <>
            <button type="button" class="button small" onClick={() => void fillFrom(on.jobId)}>Try again</button>{" "}
            <button type="button" class="button small" onClick={stopFilling}>Leave it</button>
          </>
        }
      >
        {on.error}
      </Notice>
    );
  if (on) return <Notice title={`Reading ${on.jobId}…`} />;
  if (!done) return null;
  return (
    <Notice
      kind={done.fileGone ? "warning" : "info"}
      title={done.fileGone ? "Its file is not kept any more: choose it again." : "Filled from an earlier job. Change what you like, then run."}
      action={<button type="button" class="button quiet small" aria-label="Close this message" onClick={() => (filled.value = null)}><Icon name="cross" /></button>}
    >
      {done.fileGone ? <>Commands and options are those of <a href={href("job", done.jobId)}>{done.jobId}</a>.</> : null}
    </Notice>
  );
}

export function SourcePanel({ error }: { error: string | undefined }) {
  const now = source.value;
  const empty = now.kind === "none" || now.kind === "bad";
  const problem = now.kind === "bad" ? now.problem : error;
  return (
    <section aria-labelledby="run-source-title" class="run-part">
      <h2 id="run-source-title">Project</h2>
      <AgainNotes />
      <Inputs />
      <div class={`panel source${empty ? " source-empty" : ""}${problem ? " source-bad" : ""}`}>
        {empty ? <Empty /> : <Chosen now={now} />}
        {empty ? null : <Actions now={now} />}
        <div id="run-source-more">
          {problem ? (
            <p class="field-error" role="alert">
              {problem}
            </p>
          ) : null}
        </div>
        <span class="hidden" role="status">
          {spoken(now)}
        </span>
      </div>
    </section>
  );
}
