// From bytes to the lines that are shown.

import { parseLine, type Look, type Piece } from "./ansi";

/** Characters of a line that are shown; the rest is in the raw output. */
export const SHOWN_MAX = 16 * 1024;

export interface ShownLine {
  pieces: Piece[];
  /** The pieces' text as one. */
  text: string;
  /** Characters left out at its end. */
  cut: number;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes as text; what is no UTF-8 is U+FFFD. */
export function decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** How many bytes at the end are the beginning of a character that goes on behind them: 0 to 3. */
export function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const value = bytes[bytes.length - back] ?? 0;
    if ((value & 0xc0) === 0x80) continue;
    const length = value >= 0xf0 && value < 0xf5 ? 4 : value >= 0xe0 ? 3 : value >= 0xc2 ? 2 : 1;
    return value < 0xf5 && length > back ? back : 0;
  }
  return 0;
}

/** Makes pieces into a line, cut where it is too long. */
export function shownLine(pieces: Piece[]): ShownLine {
  const text = pieces.map((piece) => piece.text).join("");
  if (text.length <= SHOWN_MAX) return { pieces, text, cut: 0 };
  let room = SHOWN_MAX;
  const last = text.charCodeAt(room - 1);
  if (last >= 0xd800 && last < 0xdc00) room--; // not through a pair
  const kept: Piece[] = [];
  let left = room;
  for (const piece of pieces) {
    if (left <= 0) break;
    kept.push(piece.text.length <= left ? piece : { ...piece, text: piece.text.slice(0, left) });
    left -= piece.text.length;
  }
  return { pieces: kept, text: text.slice(0, room), cut: text.length - room };
}

/** The lines of a text, `expected` of them: the journal's word on how many there are holds, so that numbers stay put. */
export function splitLines(text: string, expected: number): string[] {
  const lines = text.split("\n");
  if (lines.length > expected && lines.at(-1) === "") lines.pop();
  while (lines.length < expected) lines.push("");
  if (lines.length > expected) lines.splice(expected - 1, lines.length, lines.slice(expected - 1).join("\u240a"));
  return lines;
}

/** Lines with the looks in which they begin, which carry over line ends, and the look behind them. */
export function dressLines(lines: readonly string[], look: Look | null = null): { lines: ShownLine[]; looks: (Look | null)[]; look: Look | null } {
  const looks: (Look | null)[] = [];
  const shown = lines.map((line) => {
    looks.push(look);
    const parsed = parseLine(line, look);
    look = parsed.look;
    return shownLine(parsed.pieces);
  });
  return { lines: shown, looks, look };
}
