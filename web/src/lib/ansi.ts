// Text of terminals as pieces with a look. Only SGR is followed (colours, bold and the like); whatever else a terminal
// would do is dropped, and control characters that would hide or turn text around are made visible.

/** A colour: 0-255 of the usual table, or [red, green, blue]. */
export type Colour = number | readonly [number, number, number];

export interface Look {
  fg?: Colour | undefined;
  bg?: Colour | undefined;
  bold?: boolean | undefined;
  dim?: boolean | undefined;
  italic?: boolean | undefined;
  underline?: boolean | undefined;
  inverse?: boolean | undefined;
  strike?: boolean | undefined;
}

export interface Piece {
  text: string;
  look: Look | null;
}

export interface Parsed {
  pieces: Piece[];
  /** The look that goes on behind it; null: plain. */
  look: Look | null;
}

/* eslint-disable no-control-regex -- control characters are what this is about */
const SPECIAL =
  /\x1b\[([0-9;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[PX^_k][^\x1b]*(?:\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
const ANY_SPECIAL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;
/* eslint-enable no-control-regex */

/** How a control character is shown; "" for those that only a terminal would hear. */
function visible(character: string): string {
  const code = character.charCodeAt(0);
  if (code === 7 || code === 14 || code === 15 || code === 27) return "";
  if (code < 32) return String.fromCharCode(0x2400 + code);
  if (code === 127) return "\u2421";
  return `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
}

function byte(value: number | undefined): number {
  return value === undefined || !(value >= 0) ? 0 : Math.min(255, value);
}

/** The colour behind 38 or 48, and how many numbers it took. */
function extended(codes: readonly number[], at: number): [Colour | undefined, number] {
  if (codes[at + 1] === 5) return [byte(codes[at + 2]), 2];
  if (codes[at + 1] === 2) return [[byte(codes[at + 2]), byte(codes[at + 3]), byte(codes[at + 4])], 4];
  return [undefined, 1];
}

const switches: Record<number, Partial<Look>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  9: { strike: true },
  21: { underline: true },
  22: { bold: undefined, dim: undefined },
  23: { italic: undefined },
  24: { underline: undefined },
  27: { inverse: undefined },
  29: { strike: undefined },
  39: { fg: undefined },
  49: { bg: undefined },
};

/** The numbers of an SGR; 38:2::r:g:b and 38:5:n come out as 38;2;r;g;b and 38;5;n, 4:3 as 4, 4:0 as 24. */
function numbers(text: string): number[] {
  return text.split(";").flatMap((group) => {
    if (!group.includes(":")) return [group === "" ? 0 : Number(group)];
    const parts = group.split(":");
    if (parts[0] === "4") return [parts[1] === "0" ? 24 : 4];
    if (parts[1] === "2" && parts.length > 5) parts.splice(2, 1); // the colour space
    return parts.map(Number);
  });
}

/** The look after an SGR's numbers. */
export function sgr(before: Look | null, text: string): Look | null {
  let look: Look = { ...before };
  const codes = numbers(text);
  for (let at = 0; at < codes.length; at++) {
    const code = codes[at] ?? 0;
    const change = switches[code];
    if (code === 0) look = {};
    else if (change) look = { ...look, ...change };
    else if (code === 38 || code === 48) {
      const [colour, took] = extended(codes, at);
      look = { ...look, [code === 38 ? "fg" : "bg"]: colour };
      at += took;
    } else if (code >= 30 && code <= 37) look.fg = code - 30;
    else if (code >= 90 && code <= 97) look.fg = code - 82;
    else if (code >= 40 && code <= 47) look.bg = code - 40;
    else if (code >= 100 && code <= 107) look.bg = code - 92;
  }
  return Object.values(look).some((value) => value !== undefined) ? look : null;
}

/** A line (no \n in it) as pieces. Of a line that was printed over with \r the last state is shown. */
export function parseLine(line: string, look: Look | null = null): Parsed {
  if (!ANY_SPECIAL.test(line)) return { pieces: line ? [{ text: line, look }] : [], look };
  const text = line.replace(/\r+$/, "");
  let pieces: Piece[] = [];
  let at = 0;
  const add = (part: string): void => {
    const last = pieces.at(-1);
    if (last && last.look === look) last.text += part;
    else if (part) pieces.push({ text: part, look });
  };
  for (const match of text.matchAll(SPECIAL)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[0] === "\r") pieces = [];
    else if (match[1] !== undefined) look = sgr(look, match[1]);
    else if (match[0].length === 1) add(visible(match[0]));
  }
  add(text.slice(at));
  return { pieces, look };
}

/** A line as it is shown, without its look. */
export function plainLine(line: string): string {
  if (!ANY_SPECIAL.test(line)) return line;
  return parseLine(line).pieces.map((piece) => piece.text).join("");
}

const SGR_MAX = 128;

/** A line (no \n in it) as a terminal may have it: text, \r, \b, \t and looks. The rest would move its cursor, name its
 *  window, fill the clipboard. */
export function narrowLine(line: string): string {
  if (!ANY_SPECIAL.test(line)) return line;
  return line.replace(SPECIAL, (found: string, look: string | undefined) => {
    if (look !== undefined) return found.length <= SGR_MAX ? found : "";
    if (found === "\r" || found === "\b") return found;
    return found.length === 1 ? visible(found) : "";
  });
}

// eslint-disable-next-line no-control-regex -- see above
const OPEN = /^\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_k][^\x1b]*\x1b?|[ -/]*)$/;

/** Where a sequence begins that a line leaves open as far as it has come; the line's length: there is none. */
export function openSequence(line: string): number {
  const last = line.lastIndexOf("\x1b");
  if (last < 0) return line.length;
  const before = last > 0 && last === line.length - 1 ? line.lastIndexOf("\x1b", last - 1) : -1; // which the last may close
  if (before >= 0 && OPEN.test(line.slice(before))) return before;
  return OPEN.test(line.slice(last)) ? last : line.length;
}

/** What must be kept of an open sequence for the rest of it to be known as such, however long it gets. */
export function openShort(sequence: string): string {
  if (sequence.length <= SGR_MAX) return sequence;
  if (sequence.startsWith("\x1b[")) return /[ -/]$/.test(sequence) ? "\x1b[< " : "\x1b[<"; // no look begins so
  return sequence.slice(0, 2) + (sequence.endsWith("\x1b") ? "\x1b" : "");
}
