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

/** The steps so far, oldest first. */
export function stepsOf(job: Job, attempt: Attempt | null, journal: Journal | null, startedAt: number | null): Step[] {
  const steps: Step[] = [];
  const again = (attempt?.attempt ?? 1) > 1;
  const waitedFrom = again ? null : (job.createdAt ?? null);
  if (waitedFrom !== null) {
    const waits = startedAt === null && job.status === "pending";
    const to = startedAt ?? (waits ? null : (job.completedAt ?? waitedFrom));
    steps.push({ key: "wait", title: "Waited", more: waits ? (job.waiting ?? "") : "", from: waitedFrom, to, state: waits ? "running" : "done", command: false });
  }
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
