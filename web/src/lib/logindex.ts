// Which line of the view is where: from blocks to line numbers, by sums that only grow. Nothing here reads the output.

import { Column, type Blocks, type OutputStream } from "./logblocks";

export type Shown = "both" | "stdout" | "stderr";

/** A foldable stretch of lines: a command's output, or a stream whose order is not known. */
export interface Section {
  /** The command, from 1; 0: what was printed before the first one. */
  command: number;
  /** Its first row within its part. */
  first: number;
  rows: number;
}

/** Where a row's bytes are: the line `line` of block `from`; it goes on at the beginning of the blocks up to `to`. Places
 *  are those of the part's list, see Part.block. */
export interface Place {
  from: number;
  to: number;
  line: number;
}

/** The rows of one table of blocks, as far as they are of the streams wanted. It grows with its table. */
export class Part {
  readonly sections: Section[] = [];
  rows = 0;
  /** Bytes of its blocks. */
  bytes = 0;
  private readonly places = Column.of32();
  private readonly starts = Column.of32();
  private taken = 0;
  private open = false; // the last row may go on in the next block

  constructor(
    readonly blocks: Blocks,
    private readonly wanted: readonly OutputStream[],
    /** Commands that have begun, so that one that prints nothing has its section too. */
    private readonly commands: { readonly length: number } = [],
  ) {}

  /** Takes in what the table has more by now. */
  sync(): void {
    for (; this.taken < this.blocks.length; this.taken++) if (this.wanted.includes(this.blocks.stream(this.taken))) this.add(this.taken);
    if (this.commands.length > 0) this.section(this.commands.length);
  }

  /** How many blocks are listed. */
  get length(): number {
    return this.places.length;
  }

  /** The table's number of a listed block. */
  block(place: number): number {
    return this.places.at(place);
  }

  /** The row of a listed block's first line. */
  start(place: number): number {
    return this.starts.at(place);
  }

  private section(command: number): Section {
    let last = this.sections.at(-1);
    if (!last && command === 0) this.sections.push((last = { command: 0, first: 0, rows: 0 }));
    for (let next = (last?.command ?? 0) + 1; next <= command; next++) {
      this.open = false;
      this.sections.push((last = { command: next, first: this.rows, rows: 0 }));
    }
    return last!;
  }

  private add(block: number): void {
    const blocks = this.blocks;
    const section = this.section(blocks.command(block));
    const before = this.places.length - 1;
    const joined = this.open && before >= 0 && blocks.stream(this.block(before)) === blocks.stream(block);
    this.places.push(block);
    this.bytes += blocks.bytes(block);
    this.starts.push(joined ? this.rows - 1 : this.rows);
    const fresh = blocks.newlines(block) + (blocks.partial(block) ? 1 : 0) - (joined ? 1 : 0);
    this.rows += fresh;
    section.rows += fresh;
    this.open = blocks.partial(block);
  }

  private lastRow(place: number): number {
    const block = this.block(place);
    return this.start(place) + this.blocks.newlines(block) + (this.blocks.partial(block) ? 1 : 0) - 1;
  }

  /** Where a row is, 0 <= row < rows. */
  locate(row: number): Place {
    const from = firstWhere(this.length, (place) => this.lastRow(place) >= row);
    const to = firstWhere(this.length, (place) => this.start(place) > row) - 1;
    return { from, to: Math.max(from, to), line: row - this.start(from) };
  }
}

/** The first of 0 .. count-1 that `yes` holds for, which it then does for all after it; else count. */
export function firstWhere(count: number, yes: (place: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (yes(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A section as it is shown: with the rows of all parts counted through. */
export interface ShownSection extends Section {
  key: string;
  part: Part;
  /** Its first row in the whole view. */
  row: number;
  header: boolean;
}

export interface PartOfView {
  name: string;
  part: Part;
  /** Its sections have a header line. */
  headed: boolean;
}

/** The sections of a view, in order. Those before the first command have no header. */
export function sectionsOf(parts: readonly PartOfView[]): ShownSection[] {
  const result: ShownSection[] = [];
  let base = 0;
  for (const { name, part, headed } of parts) {
    for (const section of part.sections)
      result.push({ ...section, key: `${name}${section.command}`, part, row: base + section.first, header: headed && (section.command > 0 || name !== "main") });
    base += part.rows;
  }
  return result;
}

export type Line = { header: ShownSection } | { row: number; section: ShownSection };

/** The lines on the screen, folded sections left out: header lines and rows by their place from the top. */
export class Layout {
  readonly length: number;
  /** Rows of the view, folded or not. */
  readonly rows: number;
  private readonly tops: number[] = [];

  constructor(
    readonly sections: readonly ShownSection[],
    private readonly folded: (section: ShownSection) => boolean,
  ) {
    let top = 0;
    let rows = 0;
    for (const section of sections) {
      this.tops.push(top);
      top += (section.header ? 1 : 0) + (section.header && folded(section) ? 0 : section.rows);
      rows += section.rows;
    }
    this.length = top;
    this.rows = rows;
  }

  /** What is at a place, 0 <= place < length. */
  at(place: number): Line | null {
    const found = firstWhere(this.tops.length, (index) => (this.tops[index] ?? 0) > place) - 1;
    const section = this.sections[found];
    if (!section || place >= this.length) return null;
    const inside = place - (this.tops[found] ?? 0) - (section.header ? 1 : 0);
    return inside < 0 ? { header: section } : { row: section.row + inside, section };
  }

  /** The section of a row; null when there is no such row. */
  sectionOf(row: number): ShownSection | null {
    const found = firstWhere(this.sections.length, (index) => {
      const section = this.sections[index]!;
      return section.row + section.rows > row;
    });
    return this.sections[found] ?? null;
  }

  /** Where a row is on the screen; of a folded one where its header is. */
  placeOf(row: number): number {
    const section = this.sectionOf(row);
    if (!section) return Math.max(0, this.length - 1);
    const top = this.tops[this.sections.indexOf(section)] ?? 0;
    if (section.header && this.folded(section)) return top;
    return top + (section.header ? 1 : 0) + row - section.row;
  }

  /** Where a section's header is on the screen; -1: there is no such section. */
  placeOfHeader(key: string): number {
    return this.tops[this.sections.findIndex((section) => section.key === key)] ?? -1;
  }
}
