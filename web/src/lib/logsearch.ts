// Search in all of an output: reads it piece by piece without keeping it, and notes which rows match.

import { plainLine } from "./ansi";
import type { Wanted } from "./logbytes";
import { Column, type OutputStream } from "./logblocks";
import type { Part } from "./logindex";
import { splitLines } from "./loglines";
import { blockText } from "./logread";

const PIECE = 1024 * 1024;
const SLICE_MS = 8; // the page stays smooth
const ROW_KEPT = 128 * 1024;
const BATCH = 256 * 1024; // characters looked through at once

/** Which of these texts match; at once, or later from elsewhere. */
export type Matching = (texts: readonly string[]) => number[] | Promise<number[]>;

export type ReadPiece = (wanted: Wanted, signal: AbortSignal) => Promise<Uint8Array>;

interface Progress {
  next: number;
  rows: Column<Uint32Array>;
  /** The row that may go on in the next block, and its text so far. */
  row: number;
  text: string;
  /** Rows that are whole and were not yet looked at. */
  lines: { row: number; text: string }[];
  size: number;
}

/** The bytes of one piece, as a cache is asked for them. */
class Piece {
  constructor(private readonly ranges: readonly { wanted: Wanted; data: Uint8Array }[]) {}
  get(stream: OutputStream, from: number, to: number): Uint8Array | null {
    for (const { wanted, data } of this.ranges)
      if (wanted.stream === stream && wanted.from <= from && to <= wanted.from + data.length) return data.subarray(from - wanted.from, to - wanted.from);
    return null;
  }
}

export class Search {
  /** Bytes looked through. */
  scanned = 0;
  private readonly progress = new Map<Part, Progress>();

  constructor(
    private readonly matching: Matching,
    private readonly read: ReadPiece,
    private readonly changed: () => void,
  ) {}

  /** The matching rows of a part, ascending. */
  rows(part: Part): Column<Uint32Array> {
    return this.of(part).rows;
  }

  private of(part: Part): Progress {
    let progress = this.progress.get(part);
    if (!progress) this.progress.set(part, (progress = { next: 0, rows: Column.of32(), row: -1, text: "", lines: [], size: 0 }));
    return progress;
  }

  /** Looks through what the parts have and was not yet looked at. False when it stands at bytes that are not there yet:
   *  the journal may tell of them before they have arrived. */
  async run(parts: readonly Part[], signal: AbortSignal): Promise<boolean> {
    const stopped = (): boolean => signal.aborted;
    for (const part of parts) {
      const progress = this.of(part);
      while (progress.next < part.length && !stopped()) {
        const to = pieceEnd(part, progress.next);
        const piece = await this.fetch(part, progress.next, to, signal);
        if (stopped()) return true;
        const all = await this.scan(part, progress, to, piece, signal);
        await this.look(progress, signal);
        this.changed();
        if (!all) return false;
      }
      if (stopped()) return true;
      if (progress.text) this.note(progress);
      await this.look(progress, signal);
    }
    this.changed();
    return true;
  }

  private async fetch(part: Part, from: number, to: number, signal: AbortSignal): Promise<Piece> {
    const wanted: (Wanted | undefined)[] = [];
    for (let place = from; place < to; place++) {
      const block = part.block(place);
      const stream = part.blocks.stream(block);
      const range = (wanted[stream] ??= { stream, from: Math.max(0, part.blocks.offset(block) - 3), to: 0 });
      range.to = part.blocks.end(block);
    }
    const ranges = wanted.filter((range) => range !== undefined);
    return new Piece(await Promise.all(ranges.map(async (range) => ({ wanted: range, data: await this.read(range, signal) }))));
  }

  private async scan(part: Part, progress: Progress, to: number, piece: Piece, signal: AbortSignal): Promise<boolean> {
    const stopped = (): boolean => signal.aborted;
    let began = performance.now();
    while (progress.next < to) {
      if (stopped()) return true;
      const place = progress.next;
      if (!this.block(part, progress, place, piece)) return false;
      progress.next++; // before others have their turn: a run that is stopped leaves the next one where it is
      this.scanned += part.blocks.bytes(part.block(place));
      if (progress.size >= BATCH) await this.look(progress, signal);
      if (performance.now() - began > SLICE_MS) {
        this.changed();
        await new Promise((resolve) => setTimeout(resolve, 0));
        began = performance.now();
      }
    }
    return true;
  }

  private block(part: Part, progress: Progress, place: number, piece: Piece): boolean {
    const block = part.block(place);
    const text = blockText(part, place, piece, () => undefined);
    if (text === null) return false;
    const lines = splitLines(text, part.blocks.newlines(block) + (part.blocks.partial(block) ? 1 : 0));
    const start = part.start(place);
    lines.forEach((line, at) => {
      const goesOn = at === 0 && start === progress.row;
      if (!goesOn && progress.row >= 0) this.note(progress);
      progress.row = start + at;
      progress.text = goesOn ? joined(progress.text, line) : line;
    });
    return true;
  }

  private note(progress: Progress): void {
    progress.lines.push({ row: progress.row, text: plainLine(progress.text) });
    progress.size += progress.text.length;
  }

  private async look(progress: Progress, signal: AbortSignal): Promise<void> {
    const { lines, rows } = progress;
    if (lines.length === 0 || signal.aborted) return;
    const answer = this.matching(lines.map(({ text }) => text));
    const found = Array.isArray(answer) ? answer : await answer;
    if (stoppedBy(signal)) return; // they stay for the next run
    for (const at of found) {
      const row = lines[at]?.row ?? 0;
      if (rows.length === 0 || rows.at(rows.length - 1) < row) rows.push(row); // one that grew was found before
    }
    progress.lines = [];
    progress.size = 0;
  }
}

const stoppedBy = (signal: AbortSignal): boolean => signal.aborted;

function joined(text: string, more: string): string {
  if (text.length < ROW_KEPT) return text + more;
  const turn = more.lastIndexOf("\r");
  return turn >= 0 ? more.slice(turn) : text;
}

/** Behind the last block of a piece that begins with block `from`. */
function pieceEnd(part: Part, from: number): number {
  let size = 0;
  let place = from;
  while (place < part.length && (place === from || size + part.blocks.bytes(part.block(place)) <= PIECE)) size += part.blocks.bytes(part.block(place++));
  return place;
}
