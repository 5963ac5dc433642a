// The commands that were run from this browser, to be picked again.

import { stored } from "./storage";

export interface Past {
  command: string;
  /** When it was last run, ms since the epoch. */
  at: number;
}

export const HISTORY_MAX = 50;

function isPast(item: unknown): boolean {
  const past = item as Partial<Past> | null;
  return typeof past?.command === "string" && typeof past.at === "number";
}

export const history = stored<Past[]>("run.history", [], isPast);

/** `list` with `command` in front; what stood there already moves. */
export function added(list: readonly Past[], command: string, at: number): Past[] {
  const text = command.trimEnd();
  if (!text.trim()) return [...list];
  return [{ command: text, at }, ...list.filter((past) => past.command !== text)].slice(0, HISTORY_MAX);
}

/** Those that hold every word of `text`, in any letter case. */
export function found(list: readonly Past[], text: string): Past[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return list.filter((past) => words.every((word) => past.command.toLowerCase().includes(word)));
}

export function remember(command: string): void {
  history.value = added(history.value, command, Date.now());
}
