// The line behind a row: finds its bytes by the index, takes them from the cache, or notes that they are wanted.

import { parseLine, type Look } from "./ansi";
import type { ByteCache, Wanted } from "./logbytes";
import type { OutputStream } from "./logblocks";
import { carryOver, PLAIN, sameCarry, settles, unfinishedEscape, type Carry } from "./logcarry";
import type { Part, Place } from "./logindex";
import { decode, dressLines, shownLine, splitLines, unfinished, type ShownLine } from "./loglines";

/** A row longer than this is shown by its beginning, or by its end when it prints over itself. */
const ROW_MAX = 128 * 1024;
const HEAD = 24 * 1024;
const TAIL = 8 * 1024;
const PARSED_MAX = 4 * 1024 * 1024;
const PARSED_COUNT_MAX = 2000;
/** How far a colour is looked for before a block whose predecessor was not read. */
const CARRY_BYTES_MAX = 256 * 1024;
const CARRY_BLOCKS_MAX = 500;

/** The state in which a block begins. */
interface Begin {
  carry: Carry;
  /** Nothing that is read later can change it. */
  sure: boolean;
  /** The block whose bytes would tell more; -1: none. */
  lacks: number;
}

interface ParsedBlock extends Dressed {
  bytes: number;
  raw: readonly string[];
  begin: Begin;
  /** The block before it in its stream, see previousOf. */
  previous: number;
  /** What was behind that one when `begin` was found. */
  seen: Carry | undefined;
}

interface Dressed {
  lines: ShownLine[];
  looks: (Look | null)[];
  after: Carry;
}

/** A block's lines, begun in the state that is carried into them. */
function dressed(raw: readonly string[], partial: boolean, { look, open }: Carry): Dressed {
  const whole = open ? [open + (raw[0] ?? ""), ...raw.slice(1)] : raw;
  const { lines, looks, look: after } = dressLines(whole, look);
  return { lines, looks, after: { look: after, open: partial ? unfinishedEscape(whole.at(-1) ?? "") : "" } };
}

const NONE = -1;
const FAR = -2;

/** The listed block before one in its stream, if it is of the same command: a command begins plain. NONE: there is none;
 *  FAR: too many of the other stream are between. */
function previousOf(part: Part, place: number): number {
  const blocks = part.blocks;
  const block = part.block(place);
  for (let before = place - 1; before >= 0; before--) {
    const other = part.block(before);
    if (blocks.command(other) !== blocks.command(block)) return NONE;
    if (blocks.stream(other) === blocks.stream(block)) return before;
    if (place - before > CARRY_BLOCKS_MAX) return FAR;
  }
  return NONE;
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
  private readonly joined = new Map<string, { line: ShownLine; look: Look | null }>();
  private readonly rows = new WeakMap<ShownLine, RowLine>(); // the same line is the same object: it is not drawn again
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
    if (!line) return null;
    let known = this.rows.get(line);
    if (!known) this.rows.set(line, (known = { ...line, stream: part.blocks.stream(block), at: part.blocks.at(block) }));
    return known;
  }

  private id(part: Part): number {
    let id = this.ids.get(part);
    if (id === undefined) this.ids.set(part, (id = ++this.parts));
    return id;
  }

  // The last block of a stream may end in the first half of a character: it is another one once more has come.
  private key(part: Part, block: number): string {
    const grows = part.blocks.end(block) === part.blocks.ends[part.blocks.stream(block)];
    return `${this.id(part)}:${block}:${grows ? 1 : 0}`;
  }

  private known(part: Part, place: number): ParsedBlock | undefined {
    return place < 0 ? undefined : this.parsed.get(this.key(part, part.block(place)));
  }

  private block(part: Part, place: number): ParsedBlock | null {
    const block = part.block(place);
    const key = this.key(part, block);
    const known = this.parsed.get(key);
    if (known) {
      this.parsed.delete(key);
      this.parsed.set(key, known);
      this.recarry(part, place, known);
      return known;
    }
    const text = blockText(part, place, this.bytes, (wanted) => this.missing.push(wanted));
    if (text === null) return null;
    const partial = part.blocks.partial(block);
    const raw = splitLines(text, part.blocks.newlines(block) + (partial ? 1 : 0));
    const previous = previousOf(part, place);
    const begin = this.begin(part, place);
    const made = { ...dressed(raw, partial, begin.carry), bytes: part.blocks.bytes(block), raw, begin, previous, seen: this.known(part, previous)?.after };
    this.parsed.set(key, made);
    this.parsedBytes += made.bytes;
    for (const [old, gone] of this.parsed) {
      if (this.parsedBytes <= PARSED_MAX && this.parsed.size <= PARSED_COUNT_MAX) break;
      this.parsed.delete(old);
      this.parsedBytes -= gone.bytes;
    }
    return made;
  }

  /** Begins a block anew that was begun without knowing how, when more is known by now. */
  private recarry(part: Part, place: number, known: ParsedBlock): void {
    if (known.begin.sure) return;
    const seen = this.known(part, known.previous)?.after;
    if ((!seen || seen === known.seen) && !this.here(part, known.begin.lacks)) return;
    const begin = this.begin(part, place);
    if (!sameCarry(begin.carry, known.begin.carry)) Object.assign(known, dressed(known.raw, part.blocks.partial(part.block(place)), begin.carry));
    known.begin = begin;
    known.seen = seen;
  }

  /** Are the bytes of a listed block here? By its ends, which are in neighbouring pages for nearly all. */
  private here(part: Part, place: number): boolean {
    if (place < 0) return false;
    const block = part.block(place);
    const stream = part.blocks.stream(block);
    const [from, end] = [part.blocks.offset(block), part.blocks.end(block)];
    return this.bytes.get(stream, from, from + 1) !== null && this.bytes.get(stream, end - 1, end) !== null;
  }

  /** The state in which a block begins, as far as what is here tells; nothing is fetched for it. */
  private begin(part: Part, place: number): Begin {
    const texts: string[] = [];
    let bytes = 0;
    const from = (carry: Carry, sure: boolean, lacks = -1): Begin => ({ carry: texts.reduceRight(carryOver, carry), sure, lacks });
    for (let at = previousOf(part, place); ; at = previousOf(part, at)) {
      if (at < 0) return from(PLAIN, at === NONE);
      const known = this.known(part, at);
      if (known && (known.begin.sure || !this.here(part, known.begin.lacks))) return from(known.after, known.begin.sure, known.begin.lacks);
      const text = blockText(part, at, this.bytes, () => undefined);
      if (text === null) return from(PLAIN, false, at);
      texts.push(text);
      if (settles(text)) return from(PLAIN, true);
      bytes += text.length;
      if (bytes > CARRY_BYTES_MAX || texts.length >= CARRY_BLOCKS_MAX) return from(PLAIN, false);
    }
  }

  /** A row that goes over several blocks, which follow each other in their stream. */
  private longRow(part: Part, row: number, place: Place): ShownLine | null {
    const first = this.block(part, place.from);
    if (!first) return null;
    const look = first.looks[place.line] ?? null;
    const key = `${this.id(part)}:${row}:${place.to}`;
    const known = this.joined.get(key);
    if (known && known.look === look) return known.line;
    const text = this.rowText(part, place);
    if (text === null) return null;
    const made = shownLine(parseLine((place.line === 0 ? first.begin.carry.open : "") + text, look).pieces);
    this.joined.set(key, { line: made, look });
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
