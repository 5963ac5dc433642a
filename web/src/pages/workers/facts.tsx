// What cards and rows say of a worker, a fact at a time.

import { useState } from "preact/hooks";
import { drainWorker, resumeWorker } from "../../api/calls";
import { may } from "../../api/session";
import type { Worker } from "../../api/types";
import { bytes, count, plural, shortId } from "../../lib/format";
import { href } from "../../router";
import { Time } from "../../ui/basics";
import { confirm } from "../../ui/dialog";
import { Icon, type IconName } from "../../ui/icon";
import { attempt, toast } from "../../ui/toast";
import { freeSlots, labelsOf, memoryOf, nameInText, plainText, stateOf, type WorkerState } from "./model";

const icons: Record<WorkerState, IconName> = { idle: "check", busy: "spin", asleep: "moonzz", draining: "pause", offline: "cross" };

export function Badge({ worker }: { worker: Worker }) {
  const state = stateOf(worker);
  return (
    <span class={`badge state-${state}`}>
      <Icon name={icons[state]} />
      {state}
    </span>
  );
}

/** A name from a worker: text whatever is in it, whole on hover. */
export function Name({ text, class: className = "" }: { text: string; class?: string }) {
  const plain = plainText(text);
  return (
    <bdi class={`worker-name ${className}`} title={plain}>
      {plain || "no name"}
    </bdi>
  );
}

const Unknown = () => <span class="faint">not told</span>;

/** A thin bar. Its number stands beside it in words. */
function Bar({ part, high }: { part: number; high: boolean }) {
  return (
    <span class={`gauge${high ? " gauge-high" : ""}`} aria-hidden="true">
      <span style={{ width: `${Math.min(100, Math.max(0, part * 100))}%` }} />
    </span>
  );
}

const HIGH = 0.9;

export function Load({ worker }: { worker: Worker }) {
  const load = worker.loadPercent;
  if (typeof load !== "number") return <Unknown />;
  return (
    <span class="measure" title="Load of the last minute, in percent of all cores">
      <Bar part={load / 100} high={load >= HIGH * 100} />
      <span class="figure">{load} %</span>
    </span>
  );
}

export function Memory({ worker }: { worker: Worker }) {
  const memory = memoryOf(worker);
  if (!memory) return worker.memoryBytes ? <span class="figure">{bytes(worker.memoryBytes)}</span> : <Unknown />;
  const [used, total] = [bytes(memory.used), bytes(memory.total)];
  return (
    <span class="measure" title={`${used} of ${total} in use`}>
      <Bar part={memory.part} high={memory.part >= HIGH} />
      <span class="figure">
        {used.split(" ")[1] === total.split(" ")[1] ? used.split(" ")[0] : used} of {total}
      </span>
    </span>
  );
}

export function Slots({ worker }: { worker: Worker }) {
  if (typeof worker.slots !== "number") return <span class="figure slots-unknown">{count(worker.runningJobs)} used of a number not told</span>;
  const free = freeSlots(worker) ?? 0;
  return (
    <span class="figure">
      {count(worker.runningJobs)} of {count(worker.slots)} used
      {free > 0 ? <span class="slots-free"><span class="slots-dot"> · </span>{count(free)} free</span> : null}
    </span>
  );
}

/** A job that it runs; how many more there are leads to the list of them. */
export function CurrentJob({ worker }: { worker: Worker }) {
  const id = worker.currentJobId;
  const more = worker.runningJobs - (id ? 1 : 0);
  if (!id && more <= 0) return <span class="faint">none</span>;
  return (
    <span class="worker-jobs">
      {id ? (
        <a class="mono" href={href("job", id)} title={plainText(id)}>
          {plainText(shortId(id))}
        </a>
      ) : null}
      {more > 0 ? (
        <a href={href("jobs", "", { worker: worker.workerId, state: "running" })} aria-label={`All jobs on ${nameInText(worker)}`}>
          {id ? `and ${count(more)} more` : plural(more, "job")}
        </a>
      ) : null}
    </span>
  );
}

/** System, cores, version: what is known of them. */
export function System({ worker }: { worker: Worker }) {
  const parts = [worker.os, worker.cpuCount ? plural(worker.cpuCount, "core") : null].filter(Boolean).map((part) => plainText(part ?? ""));
  return parts.length ? <bdi title={parts.join(", ")}>{parts.join(" · ")}</bdi> : <Unknown />;
}

export function Version({ worker }: { worker: Worker }) {
  return worker.version ? <bdi title={plainText(worker.version)}>{plainText(worker.version)}</bdi> : <Unknown />;
}

/** What keeps it from new jobs, where the badge alone does not say it. */
export function Standing({ worker }: { worker: Worker }) {
  const state = stateOf(worker);
  return (
    <>
      {state === "asleep" ? (
        <p class="standing">
          Sleeps; its jobs wait for it until <Time ms={worker.asleepUntil} as="clock" />.
        </p>
      ) : null}
      {worker.draining ? (
        <p class="standing">
          {state === "offline" || state === "asleep" ? "Draining: it takes no new job when it is back." : "Takes no new job."}
          {state === "draining" ? (worker.runningJobs ? ` ${plural(worker.runningJobs, "job")} still ${worker.runningJobs === 1 ? "goes" : "go"} on.` : " Nothing runs on it.") : ""}
        </p>
      ) : null}
    </>
  );
}

/** The first `most` labels, the others on demand. */
export function Labels({ worker, most = 6 }: { worker: Worker; most?: number }) {
  const [all, setAll] = useState(false);
  const labels = labelsOf(worker);
  if (labels.length === 0) return null;
  const shown = all ? labels : labels.slice(0, most);
  const more = labels.length - most;
  return (
    <div class="labels">
      <ul aria-label="Labels">
        {shown.map((label) => (
          <li key={label} class="chip" title={plainText(label)}>
            <bdi>{plainText(label)}</bdi>
          </li>
        ))}
      </ul>
      {more > 0 ? (
        <button type="button" class="button quiet small" aria-expanded={all} aria-label={all ? "Fewer labels" : `${more} more labels`} onClick={() => setAll(!all)}>
          {all ? "Fewer" : `+${more}`}
        </button>
      ) : null}
    </div>
  );
}

const DRAIN_WORDS = "It takes no new job from now on, also after a restart. What runs on it goes on. Resume takes that back.";
const RESUME_WORDS = "Take new jobs again";

/** Drain, after a question; or resume. `changed` reads the list anew. */
export function DrainButton({ worker, changed }: { worker: Worker; changed: () => void }) {
  const [busy, setBusy] = useState(false);
  const name = nameInText(worker);
  if (!may("drain")) return null;
  const act = async (): Promise<void> => {
    const resume = Boolean(worker.draining);
    if (!resume && !(await confirm(`Drain ${name}?`, DRAIN_WORDS, "Drain"))) return;
    setBusy(true);
    const done = await attempt(() => (resume ? resumeWorker : drainWorker)(worker.workerId));
    setBusy(false);
    if (done) toast(resume ? `${name} takes new jobs again.` : `${name} takes no new job.`);
    changed();
  };
  return (
    <button
      type="button"
      class="button small"
      disabled={busy}
      title={worker.draining ? RESUME_WORDS : "Takes no new job; what runs goes on"}
      aria-label={`${worker.draining ? "Resume" : "Drain"} ${name}`}
      onClick={() => void act()}
    >
      <Icon name={worker.draining ? "run" : "pause"} />
      {worker.draining ? "Resume" : "Drain"}
    </button>
  );
}
