// What is typed into the options, read: lines of KEY=VALUE, patterns, exit codes, spans of time. A reader throws Bad with
// a sentence that says which line.

import { count } from "../../lib/format";

export class Bad extends Error {}

const utf8 = new TextEncoder();

export function byteLength(text: string): number {
  return utf8.encode(text).length;
}

// eslint-disable-next-line no-control-regex -- just these are refused by the server
const control = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Lines that are not blank, with their numbers. */
function lines(text: string): { line: number; text: string }[] {
  return text
    .split("\n")
    .map((line, at) => ({ line: at + 1, text: line }))
    .filter((line) => line.text.trim());
}

interface PairRules {
  /** Bytes of all lines together. */
  max: number;
  /** True for environment variables: names of letters, digits and _. */
  variables?: boolean;
}

/** Lines of KEY=VALUE; undefined when there are none. Spaces around a key go, those of a value stay. */
export function readPairs(text: string, { max, variables = false }: PairRules): Record<string, string> | undefined {
  const pairs = new Map<string, string>();
  for (const { line, text: whole } of lines(text)) {
    const at = whole.indexOf("=");
    const key = whole.slice(0, at).trim();
    if (at < 0) throw new Bad(`Line ${line}: there is no =. Write KEY=VALUE.`);
    if (!key) throw new Bad(`Line ${line}: nothing stands before the =.`);
    if (variables && !/^[A-Za-z_]\w*$/.test(key)) throw new Bad(`Line ${line}: “${key}” is no name for a variable: letters, digits and _ only, no digit first.`);
    if (control.test(whole)) throw new Bad(`Line ${line}: there is a control character in it.`);
    if (pairs.has(key)) throw new Bad(`Line ${line}: ${key} stands twice.`);
    pairs.set(key, whole.slice(at + 1));
  }
  const size = [...pairs].reduce((sum, [key, value]) => sum + byteLength(key) + byteLength(value) + 2, 0);
  if (size > max) throw new Bad(`That is ${count(size)} bytes; ${count(max)} at most.`);
  return pairs.size ? Object.fromEntries(pairs) : undefined;
}

export function writePairs(pairs: Record<string, string> | null | undefined): string {
  return Object.entries(pairs ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join("\n");
}

/** Artifact patterns, one a line. */
export function readGlobs(text: string): string[] | undefined {
  const globs = lines(text).map(({ line, text: whole }) => {
    const glob = whole.trim();
    if (glob.startsWith("/")) throw new Bad(`Line ${line}: a pattern begins in the job's folder, not with /.`);
    if (glob.includes("\\")) throw new Bad(`Line ${line}: a pattern has no backslash; folders are separated by /.`);
    if (glob.split("/").includes("..")) throw new Bad(`Line ${line}: a pattern stays in the job's folder: “..” leads out of it.`);
    return glob;
  });
  if (byteLength(globs.join("\n")) >= 4096) throw new Bad("That is too much: 4,096 bytes at most.");
  return globs.length ? globs : undefined;
}

/** Exit codes, separated by commas or spaces, or `any`. */
export function readExits(text: string): string[] | undefined {
  const items = text.split(/[\s,;]+/).filter(Boolean);
  for (const item of items)
    if (item !== "any" && !(/^\d{1,3}$/.test(item) && Number(item) >= 1 && Number(item) <= 255))
      throw new Bad(`“${item}” is no exit code: numbers from 1 to 255, or “any”.`);
  return items.length ? [...new Set(items)] : undefined;
}

/** A whole number within bounds; undefined when nothing is typed. */
export function readNumber(text: string, min: number, max: number): number | undefined {
  const typed = text.trim();
  if (!typed) return undefined;
  const value = Number(typed.replace(/^\+/, ""));
  if (!/^[+-]?\d{1,15}$/.test(typed) || value < min || value > max)
    throw new Bad(`A whole number from ${count(min)} to ${count(max)}.`);
  return value;
}

const units: Record<string, number> = { ms: 1, s: 1000, sec: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
const SPAN = /^(?:\d+(?:\.\d+)?\s*(?:ms|sec|s|min|m|h|d)\s*)+$/;

/** "90 s", "1 h 30 min", "2d", in ms; a bare number is seconds. */
export function readSpan(text: string, min: number, max: number, maxText: string): number | undefined {
  const typed = text.trim().toLowerCase();
  if (!typed) return undefined;
  const whole = /^\d+(?:\.\d+)?$/.test(typed) ? `${typed}s` : typed;
  if (!SPAN.test(whole)) throw new Bad("A time such as 90 s, 10 min or 1 h 30 min.");
  let ms = 0;
  for (const [, number, unit] of whole.matchAll(/(\d+(?:\.\d+)?)\s*(ms|sec|s|min|m|h|d)/g)) ms += Number(number) * (units[unit ?? ""] ?? 0);
  ms = Math.round(ms);
  if (ms < min) throw new Bad("Longer than that, please.");
  if (ms > max) throw new Bad(`${maxText} at most.`);
  return ms;
}

/** A span as it is typed: "1h 30min". */
export function writeSpan(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "";
  const parts: string[] = [];
  let rest = ms;
  for (const unit of ["d", "h", "min", "s", "ms"]) {
    const size = units[unit] ?? 1;
    const many = Math.floor(rest / size);
    if (many) parts.push(`${many} ${unit}`);
    rest -= many * size;
  }
  return parts.join(" ") || "0 s";
}
