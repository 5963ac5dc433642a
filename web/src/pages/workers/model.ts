// What the Workers page shows, as plain data: states, order, filter, counts, the strip of a day.

import type { Worker } from "../../api/types";
import { duration } from "../../lib/format";

export type WorkerState = "idle" | "busy" | "asleep" | "draining" | "offline";
/** What a chip at the top asks for: a state, or workers with a free slot; "" asks for all. */
export type Wanted = WorkerState | "free" | "";

/** In the order of the page. */
export const states: readonly WorkerState[] = ["idle", "busy", "asleep", "draining", "offline"];
const places = new Map<WorkerState, number>(states.map((state, at) => [state, at]));

/** The one word for a worker. What keeps it from new jobs for longest goes first. */
export function stateOf(worker: Worker): WorkerState {
  if (worker.status === "offline") return "offline";
  if (worker.asleepUntil) return "asleep";
  if (worker.draining) return "draining";
  return worker.status === "busy" || worker.runningJobs > 0 ? "busy" : "idle";
}

/** Slots that would take a job now; null for an agent that declared none. */
export function freeSlots(worker: Worker): number | null {
  const state = stateOf(worker);
  if (state !== "idle" && state !== "busy") return 0;
  return typeof worker.slots === "number" ? Math.max(0, worker.slots - worker.runningJobs) : null;
}

/** A name without what turns text around or moves the cursor: such characters become visible. */
export function plainText(text: string): string {
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

const NAME_SHOWN = 48;

/** A name within a sentence: plain, and not longer than a sentence bears. */
export function nameInText(worker: Worker): string {
  const letters = Array.from(plainText(worker.hostname || worker.workerId));
  return letters.length > NAME_SHOWN ? `${letters.slice(0, NAME_SHOWN - 1).join("")}…` : letters.join("");
}

/** What a name is sorted by: "pc-2" stands before "pc-10". A key a name is much faster than a collator for 10,000. */
function sortKey(name: string): string {
  return name.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}

/** Idle ones first, by host name within a state. */
export function sortWorkers(workers: readonly Worker[]): Worker[] {
  return workers
    .map((worker) => ({ worker, key: `${places.get(stateOf(worker)) ?? 0}${sortKey(worker.hostname)}\u0000${sortKey(worker.workerId)}` }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ worker }) => worker);
}

export interface Counts extends Record<WorkerState, number> {
  all: number;
  /** Workers with a free slot. */
  free: number;
  /** Their free slots together. */
  freeSlots: number;
}

export function countWorkers(workers: readonly Worker[]): Counts {
  const counts: Counts = { all: workers.length, idle: 0, busy: 0, asleep: 0, draining: 0, offline: 0, free: 0, freeSlots: 0 };
  for (const worker of workers) {
    counts[stateOf(worker)]++;
    const free = freeSlots(worker) ?? 0;
    if (free) counts.free++;
    counts.freeSlots += free;
  }
  return counts;
}

/** Labels as they are written: `gpu=yes`. Those that every worker has come last. */
export function labelsOf(worker: Worker): string[] {
  const common = (key: string): number => (key === "os" || key === "arch" ? 1 : 0);
  return Object.entries(worker.labels ?? {})
    .sort(([a], [b]) => common(a) - common(b))
    .map(([key, value]) => `${key}=${value}`);
}

/** True when each word of `text` is somewhere in what the page shows of the worker. */
function hasWords(worker: Worker, words: readonly string[]): boolean {
  if (words.length === 0) return true;
  const shown = [worker.hostname, worker.workerId, worker.os, worker.version, worker.currentJobId, ...labelsOf(worker)];
  const text = shown.join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function filterWorkers(workers: readonly Worker[], wanted: Wanted, text: string): Worker[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return workers.filter((worker) => {
    if (wanted === "free" ? !freeSlots(worker) : wanted && stateOf(worker) !== wanted) return false;
    return hasWords(worker, words);
  });
}

/** What an address asks for; something unknown is all. */
export function wantedOf(text: string | null): Wanted {
  return text === "free" ? text : states.find((state) => state === text) ?? "";
}

/** Memory in use, in bytes and as a part of 1; null when the worker does not tell. */
export function memoryOf(worker: Worker): { used: number; total: number; part: number } | null {
  const { memoryBytes: total, memoryFreeBytes: free } = worker;
  if (!total || typeof free !== "number") return null;
  const used = Math.min(total, Math.max(0, total - free));
  return { used, total, part: used / total };
}

// ---- the strip of a day ----

/** Cells of a strip. */
export const CELLS = 96;

/** The newest 96 cells: -1 not known, else 0 to 9. A short text stands at the right. */
export function cellsOf(activity: string): number[] {
  const text = activity.slice(-CELLS).padStart(CELLS, "-");
  return Array.from(text, (char) => (char >= "0" && char <= "9" ? Number(char) : -1));
}

/** The share of its slots that a worker had at work, in percent, over the cells where it was there; null: it never was. */
export function busyPercent(cells: readonly number[]): number | null {
  const known = cells.filter((cell) => cell >= 0);
  if (known.length === 0) return null;
  // A 9 is "90 % and more" and a 0 less than a tenth: ninths keep both ends true and each cell within its tenth.
  return Math.round((known.reduce((sum, cell) => sum + cell, 0) / (known.length * 9)) * 100);
}

/** The strip in words. */
export function stripWords(cells: readonly number[], stepMs: number): string {
  const percent = busyPercent(cells);
  if (percent === null) return "nothing recorded in the last 24 h";
  const known = cells.filter((cell) => cell >= 0).length;
  const span = known === cells.length ? `the last ${duration(cells.length * stepMs).replace("1 d", "24 h")}` : `${duration(known * stepMs)} here`;
  return `busy ${percent} % of ${span}`;
}

/** One cell in words, without its time. */
export function cellWords(cell: number): string {
  if (cell < 0) return "not here";
  if (cell === 0) return "idle, or nearly";
  return cell === 9 ? "busy 90 % or more" : `busy ${cell}0 to ${cell + 1}0 %`;
}

/** When a cell begins and ends. `until` is the end of the last one. */
export function cellTimes(at: number, until: number, stepMs: number): { from: number; to: number } {
  const to = until - (CELLS - 1 - at) * stepMs;
  return { from: to - stepMs, to };
}

export const STRIP_HEIGHT = 20;

/** The strip as two outlines, a unit a cell wide: bars where it was busy, a base line where it was idle. */
export function stripPaths(cells: readonly number[]): { busy: string; idle: string } {
  let busy = "";
  let idle = "";
  cells.forEach((cell, at) => {
    const height = cell > 0 ? 3 + ((STRIP_HEIGHT - 3) * cell) / 9 : 2;
    const bar = `M${at} ${STRIP_HEIGHT}v-${Math.round(height * 10) / 10}h1v${Math.round(height * 10) / 10}z`;
    if (cell > 0) busy += bar;
    else if (cell === 0) idle += bar;
  });
  return { busy, idle };
}
