// How a colour goes on from one block of output into the next: a program that opened one and printed on has not closed it.

import { sgr, type Look } from "./ansi";

/** The state of a terminal between two blocks. */
export interface Carry {
  look: Look | null;
  /** The beginning of an escape sequence that goes on in the next block. */
  open: string;
}

export const PLAIN: Carry = { look: null, open: "" };

/* eslint-disable no-control-regex -- escape sequences are what this is about */
const SGR = /\x1b\[([0-9;:]*)m/g;
const RESET = /\x1b\[0*(?:;[0-9;:]*)?m/g;
const OPEN = /\x1b(?:\[[0-9;:]*)?$/;
/* eslint-enable no-control-regex */
const OPEN_MAX = 64;

/** Is the look behind this text known, whatever it was before? */
export function settles(text: string): boolean {
  return text.search(RESET) >= 0;
}

/** The escape sequence that a text breaks off in; "": none. */
export function unfinishedEscape(text: string): string {
  return OPEN.exec(text.slice(-OPEN_MAX))?.[0] ?? "";
}

/** The state behind a text. */
export function carryOver(before: Carry, text: string): Carry {
  const whole = before.open + text;
  if (!whole.includes("\x1b")) return { look: before.look, open: "" };
  let { look } = before;
  let from = 0;
  for (const match of whole.matchAll(RESET)) from = match.index;
  SGR.lastIndex = from;
  for (let match = SGR.exec(whole); match; match = SGR.exec(whole)) look = sgr(look, match[1] ?? "");
  return { look, open: unfinishedEscape(whole) };
}

function sameColour(one: Look["fg"], other: Look["fg"]): boolean {
  return String(one) === String(other);
}

export function sameCarry(one: Carry, other: Carry): boolean {
  if (one.open !== other.open) return false;
  const [a, b] = [one.look, other.look];
  if (a === b) return true;
  if (!a || !b) return false;
  return (
    sameColour(a.fg, b.fg) && sameColour(a.bg, b.bg) &&
    (["bold", "dim", "italic", "underline", "inverse", "strike"] as const).every((name) => a[name] === b[name])
  );
}
