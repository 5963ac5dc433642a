// A job's way from being submitted to its end, as steps with their times.

import type { Attempt, Job } from "../../api/types";
import { commandTexts, type Journal } from "../../lib/journal";

export interface Step {
  key: string;
  title: string;
  /** More to say: why it waited, how a command ended. */
  more: string;
  /** Ms since the epoch. */
  from: number;
  /** Null while it lasts. */
  to: number | null;
  state: "done" | "running" | "failed";
  command: boolean;
}

const phaseTitles: Record<string, string> = {
  download: "Download",
  extract: "Extract",
  run: "Run",
  artifacts: "Collect artifacts",
  upload: "Send output",
};

/** Until a worker had the attempt shown: since it was submitted, or since the attempt before was over. `waited`: why, as
 *  far as this page has heard; the broker does not keep it. */
function waitOf(job: Job, attempt: Attempt | null, startedAt: number | null, waited: string): Step | null {
  const number = attempt?.attempt ?? job.attempt ?? 0;
  const waits = startedAt === null && job.status === "pending";
  const before = job.attempts?.find((one) => one.attempt === number - 1);
  if (number > 1 && !before) return null; // of very many the oldest are not told
  const from = (number > 1 ? before?.completedAt : job.createdAt) ?? null;
  if (from === null) return null;
  const to = startedAt ?? (waits ? null : (job.completedAt ?? from));
  const more = waits ? (job.waiting ?? "") : waited;
  return { key: "wait", title: "Waited", more, from, to, state: waits ? "running" : "done", command: false };
}

/** The wait of a job that is queued again, behind the last attempt. */
function waitAgain(job: Job, attempt: Attempt | null): Step | null {
  if (job.status !== "pending" || !attempt || attempt.attempt !== job.attempt || !attempt.completedAt) return null;
  return { key: "again", title: "Waits to run again", more: job.waiting ?? "", from: attempt.completedAt, to: null, state: "running", command: false };
}

/** The steps so far, oldest first. */
export function stepsOf(job: Job, attempt: Attempt | null, journal: Journal | null, startedAt: number | null, waited = ""): Step[] {
  const steps = attemptSteps(job, attempt, journal, startedAt, waited);
  const again = waitAgain(job, attempt);
  return again ? [...steps, again] : steps;
}

function attemptSteps(job: Job, attempt: Attempt | null, journal: Journal | null, startedAt: number | null, waited: string): Step[] {
  const steps: Step[] = [];
  const wait = waitOf(job, attempt, startedAt, waited);
  if (wait) steps.push(wait);
  if (startedAt === null || !journal) return steps;
  const over = attempt ? attempt.status !== "running" : job.status !== "running";
  const end = over ? (attempt?.completedAt ?? job.completedAt ?? startedAt + journal.lastAt) : null;
  const texts = commandTexts(job.command);
  journal.phases.forEach((phase, at) => {
    const next = journal.phases[at + 1];
    const to = next ? startedAt + next.at : end;
    const failed = attempt ? attempt.status !== "completed" : job.status === "failed";
    // What a command ended is told at the command; a result that was sent was sent well.
    const failedHere = over && !next && failed && !(phase.name === "upload" && journal.commands.some((run) => run.end !== null));
    const state = to === null ? "running" : failedHere && phase.name !== "run" ? "failed" : "done";
    if (phase.name !== "run") steps.push({ key: `phase${at}`, title: phaseTitles[phase.name] ?? phase.name, more: "", from: startedAt + phase.at, to, state, command: false });
    else
      for (const [place, run] of journal.commands.entries()) {
        const ended = run.end !== null ? startedAt + run.end : end;
        const bad = run.end !== null ? run.exitCode !== 0 || run.signal !== null : over;
        const how = run.end === null ? (over ? "did not end" : "") : run.signal ? `signal ${run.signal}` : run.exitCode ? `exit ${run.exitCode}` : "";
        steps.push({
          key: `command${place}`, title: texts[run.number - 1] ?? `Command ${run.number}`, more: how,
          from: startedAt + run.begin, to: ended, state: ended === null ? "running" : bad ? "failed" : "done", command: true,
        });
      }
  });
  return steps;
}
