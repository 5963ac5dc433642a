// The line behind a row: finds its bytes by the index, takes them from the cache, or notes that they are wanted.

import { parseLine } from "./ansi";
import type { ByteCache, Wanted } from "./logbytes";
import type { OutputStream } from "./logblocks";
import type { Part, Place } from "./logindex";
import { decode, dressLines, shownLine, splitLines, unfinished, type ShownLine } from "./loglines";
import type { Look } from "./ansi";

/** A row longer than this is shown by its beginning, or by its end when it prints over itself. */
const ROW_MAX = 128 * 1024;
const HEAD = 24 * 1024;
const TAIL = 8 * 1024;
const PARSED_MAX = 4 * 1024 * 1024;
const PARSED_COUNT_MAX = 2000;

interface ParsedBlock {
  lines: ShownLine[];
  looks: (Look | null)[];
  bytes: number;
}

export interface RowLine extends ShownLine {
  stream: OutputStream;
  /** Ms since the attempt began; NaN when not known. */
  at: number;
}

/** Where the bytes of a stream come from. */
export type Bytes = Pick<ByteCache, "get">;

/** The text of a listed block with characters that lie across its ends put where they end; null when bytes lack. */
export function blockText(part: Part, place: number, bytes: Bytes, miss: (wanted: Wanted) => void): string | null {
  const blocks = part.blocks;
  const block = part.block(place);
  const stream = blocks.stream(block);
  const from = blocks.offset(block);
  const to = blocks.end(block);
  const data = bytes.get(stream, from, to);
  if (!data) {
    miss({ stream, from, to });
    return null;
  }
  const goesOn = blocks.partial(block) && to < blocks.ends[stream];
  const end = goesOn ? data.length - unfinished(data) : data.length;
  const body = decode(end === data.length ? data : data.subarray(0, end));
  if (from === 0 || ((data[0] ?? 0) & 0xc0) !== 0x80) return body;
  const before = bytes.get(stream, Math.max(0, from - 3), from);
  if (!before) {
    miss({ stream, from: Math.max(0, from - 3), to });
    return null;
  }
  const carried = before.subarray(before.length - unfinished(before));
  const whole = new Uint8Array(carried.length + end);
  whole.set(carried);
  whole.set(data.subarray(0, end), carried.length);
  return decode(whole);
}

export class LineReader {
  private readonly parsed = new Map<string, ParsedBlock>(); // the least recently used first
  private readonly joined = new Map<string, ShownLine>();
  private parsedBytes = 0;
  private missing: Wanted[] = [];
  private readonly ids = new WeakMap<Part, number>();
  private parts = 0;

  constructor(private readonly bytes: Bytes) {}

  /** What lacked for the lines read since the last call. */
  takeMissing(): Wanted[] {
    const missing = this.missing;
    this.missing = [];
    return missing;
  }

  /** Row `row` of a part; null when its bytes are not here yet. */
  line(part: Part, row: number): RowLine | null {
    const place = part.locate(row);
    const block = part.block(place.from);
    const line = place.to > place.from ? this.longRow(part, row, place) : this.block(part, place.from)?.lines[place.line];
    return line ? { ...line, stream: part.blocks.stream(block), at: part.blocks.at(block) } : null;
  }

  private id(part: Part): number {
    let id = this.ids.get(part);
    if (id === undefined) this.ids.set(part, (id = ++this.parts));
    return id;
  }

  private block(part: Part, place: number): ParsedBlock | null {
    const block = part.block(place);
    const grows = part.blocks.end(block) === part.blocks.ends[part.blocks.stream(block)];
    const key = `${this.id(part)}:${block}:${grows ? 1 : 0}`; // the last one's end may be the first half of a character
    const known = this.parsed.get(key);
    if (known) {
      this.parsed.delete(key);
      this.parsed.set(key, known);
      return known;
    }
    const text = blockText(part, place, this.bytes, (wanted) => this.missing.push(wanted));
    if (text === null) return null;
    const expected = part.blocks.newlines(block) + (part.blocks.partial(block) ? 1 : 0);
    const made = { ...dressLines(splitLines(text, expected)), bytes: part.blocks.bytes(block) };
    this.parsed.set(key, made);
    this.parsedBytes += made.bytes;
    for (const [old, gone] of this.parsed) {
      if (this.parsedBytes <= PARSED_MAX && this.parsed.size <= PARSED_COUNT_MAX) break;
      this.parsed.delete(old);
      this.parsedBytes -= gone.bytes;
    }
    return made;
  }

  /** A row that goes over several blocks, which follow each other in their stream. */
  private longRow(part: Part, row: number, place: Place): ShownLine | null {
    const key = `${this.id(part)}:${row}:${place.to}`;
    const known = this.joined.get(key);
    if (known) return known;
    const first = this.block(part, place.from);
    if (!first) return null;
    const text = this.rowText(part, place);
    if (text === null) return null;
    const made = shownLine(parseLine(text, first.looks[place.line] ?? null).pieces);
    this.joined.set(key, made);
    if (this.joined.size > 200) for (const old of [...this.joined.keys()].slice(0, 100)) this.joined.delete(old);
    return made;
  }

  private rowText(part: Part, place: Place): string | null {
    const blocks = part.blocks;
    const first = part.block(place.from);
    const last = part.block(place.to);
    const stream = blocks.stream(first);
    const base = blocks.offset(first);
    const end = blocks.end(last);
    const read = (from: number, to: number): Uint8Array | null => {
      const data = this.bytes.get(stream, from, to);
      if (!data) this.missing.push({ stream, from, to });
      return data;
    };
    if (end - base <= ROW_MAX) {
      const data = read(base, end);
      return data && (decode(data.subarray(0, lastLineEnd(data, blocks.newlines(last) > 0, blocks.offset(last) - base))).split("\n")[place.line] ?? "");
    }
    const ending = read(blocks.offset(last), end);
    if (!ending) return null;
    const rowEnd = blocks.offset(last) + lastLineEnd(ending, blocks.newlines(last) > 0, 0);
    const tail = read(Math.max(base, rowEnd - TAIL), rowEnd);
    const head = read(base, base + Math.min(blocks.bytes(first) + HEAD, end - base));
    if (!head || !tail) return null;
    const over = decode(tail).replace(/\r+$/, "");
    const turn = over.lastIndexOf("\r");
    if (turn >= 0) return over.slice(turn + 1);
    return (decode(head).split("\n")[place.line] ?? "") + "\u2026";
  }
}

/** Where the row that goes on into a block ends: at the block's first line end, when it has one. */
function lastLineEnd(data: Uint8Array, ends: boolean, from: number): number {
  const found = ends ? data.indexOf(10, from) : -1;
  return found < 0 ? data.length : found;
}
