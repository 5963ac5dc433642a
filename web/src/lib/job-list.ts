// The list of jobs as the page holds it: filters in the address, pages put together, live changes merged in. Pure.

import type { Job, JobEvent, JobFilter, JobState } from "../api/types";
import { count, plural } from "./format";

/** Rows held at most; who wants to see further back narrows the list. */
export const ROWS_MAX = 20_000;

/** True when there are jobs further back than the rows that are held. */
export function isCapped(rows: number, total: number | null, cursor: string | null): boolean {
  return rows >= ROWS_MAX && (cursor !== null || (total ?? 0) > rows);
}

/** What stands below the last row, when no more are read. */
export function endWords(rows: number, capped: boolean): string {
  return capped ? `The newest ${count(rows)} are shown. Narrow by time or text to see further back.` : `${count(rows)} shown: all there are.`;
}

export type Span = "" | "hour" | "day" | "week" | "custom";

/** A filter as the user sets it; kept in the address. */
export interface Wanted {
  state: JobState | "";
  text: string;
  worker: string;
  label: string;
  span: Span;
  /** `YYYY-MM-DDTHH:MM`, local time, of a custom span. */
  from: string;
  to: string;
}

export const everything: Wanted = { state: "", text: "", worker: "", label: "", span: "", from: "", to: "" };

const states = ["pending", "running", "completed", "failed"] as const;
const spans = ["hour", "day", "week", "custom"] as const;
const spanMs: Record<string, number> = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 };

export function readWanted(query: URLSearchParams): Wanted {
  const text = (name: string): string => query.get(name) ?? "";
  return {
    state: states.find((state) => state === text("state")) ?? "",
    text: text("text"),
    worker: text("worker"),
    label: text("label"),
    span: spans.find((span) => span === text("span")) ?? "",
    from: text("from"),
    to: text("to"),
  };
}

export function writeWanted(wanted: Wanted): Record<string, string> {
  const { from, to, ...rest } = wanted;
  return wanted.span === "custom" ? { ...rest, from, to } : { ...rest };
}

/** What the API is asked. `now` is ms since the epoch. */
export function filterOf(wanted: Wanted, now: number): JobFilter {
  const filter: JobFilter = { state: wanted.state, text: wanted.text.trim(), worker: wanted.worker.trim(), label: wanted.label.trim() };
  const time = (text: string): number => new Date(text).getTime();
  if (wanted.span === "custom") {
    if (time(wanted.from) > 0) filter.since = time(wanted.from);
    if (time(wanted.to) > 0) filter.until = time(wanted.to);
  } else if (wanted.span) {
    filter.since = now - (spanMs[wanted.span] ?? 0);
  }
  return filter;
}

export const isNarrowed = (wanted: Wanted): boolean => Object.values(wanted).some((value) => value !== "");

/** The rows with an older page behind them; jobs that are there already stay where they are. */
export function addPage(rows: readonly Job[], page: readonly Job[]): Job[] {
  const known = new Set(rows.map((job) => job.jobId));
  return [...rows, ...page.filter((job) => !known.has(job.jobId))].slice(0, ROWS_MAX);
}

/** The rows with what the newest page says: known jobs brought up to date, new ones in front. Null when nothing joins
 *  the two: what lies between is not known, so the list begins anew with that page. */
export function addNewest(rows: readonly Job[], page: readonly Job[], more: boolean): Job[] | null {
  const fresh = new Map(page.map((job) => [job.jobId, job]));
  const known = new Set(rows.map((job) => job.jobId));
  const added = page.filter((job) => !known.has(job.jobId));
  if (more && rows.length > 0 && added.length === page.length) return null;
  const kept = rows.map((job) => {
    const now = fresh.get(job.jobId);
    return now && !isOlder(now, job) ? now : job;
  });
  return [...added, ...kept].slice(0, ROWS_MAX);
}

const order: Record<JobState, number> = { pending: 0, running: 1, completed: 2, failed: 2 };

/** True when `a` was read before `b`: a job's attempts only grow, and a final state stays. */
function isOlder(a: Job, b: Job): boolean {
  if (order[b.status] === 2) return order[a.status] < 2;
  return (a.attempt ?? 0) < (b.attempt ?? 0);
}

/** A row after an event about it. */
function changed(job: Job, event: JobEvent): Job {
  if (order[job.status] === 2) return job;
  const next: Job = { ...job, status: event.status };
  if (event.attempt) next.attempt = event.attempt;
  if (event.workerId) next.workerId = event.workerId;
  if (event.status === "running") next.startedAt = event.time;
  if (event.status === "running" || order[event.status] === 2) next.waiting = next.waitingReason = null;
  if (order[event.status] === 2) {
    next.completedAt = event.time;
    next.reason = event.reason ?? null;
    next.exitCode = event.exitCode ?? null;
  }
  return next;
}

/** The rows after these events, in their order; and whether one told of a job that is not among them and belongs there.
 *  A row that no longer fits the filter stays until the list is read anew: it shows how its job ended. */
export function addEvents(rows: readonly Job[], events: readonly JobEvent[], filter: JobFilter): { rows: Job[]; unknown: boolean } {
  const place = new Map(rows.map((job, at) => [job.jobId, at]));
  const next = [...rows];
  let unknown = false;
  for (const event of events) {
    const at = place.get(event.jobId);
    const row = at === undefined ? undefined : next[at];
    if (at === undefined || !row) unknown ||= begins(event, filter);
    else next[at] = changed(row, event);
  }
  return { rows: next, unknown };
}

/** True when a job may come to fit the filter by this event. */
function begins(event: JobEvent, filter: JobFilter): boolean {
  if (filter.state && filter.state !== event.status) return false;
  return filter.state ? true : event.status === "pending" || (Boolean(filter.worker) && event.status === "running");
}

/** Ids from one row to another, both included, whichever is first. */
export function idsBetween(rows: readonly Job[], a: number, b: number): string[] {
  return rows.slice(Math.min(a, b), Math.max(a, b) + 1).map((job) => job.jobId);
}

/** What was done to how many of `all` jobs; "" when nothing was. `over`: those that were over already. */
export function doneWords(all: number, failed: number, over: number, done: string): string {
  const good = all - failed;
  if (good <= 0) return "";
  return over > 0 ? `${good - over} ${done}, ${over} ${over === 1 ? "was" : "were"} over already.` : `${plural(good, "job")} ${done}.`;
}

export const isOver = (job: Pick<Job, "status">): boolean => order[job.status] === 2;

/** Does something to each, a few at a time; what failed, by id. */
export async function each(
  ids: readonly string[],
  atOnce: number,
  what: (id: string) => Promise<unknown>,
  progress: (done: number) => void,
): Promise<Map<string, string>> {
  const failures = new Map<string, string>();
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) {
      try {
        await what(id);
      } catch (error) {
        failures.set(id, error instanceof Error ? error.message : String(error));
      }
      progress(++done);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, ids.length) }, lane));
  return failures;
}
