// A table of blocks of output, a row a block, in the order in which they were printed. Columns of numbers, because a long
// job has some hundred thousand of them.

export type OutputStream = 0 | 1;
export const STDOUT: OutputStream = 0;
export const STDERR: OutputStream = 1;
export const streamNames = ["stdout", "stderr"] as const;

/** A block longer than this cannot be shown in pieces; who makes blocks keeps below. */
export const BLOCK_MAX = 256 * 1024;

type Numbers = Float64Array | Uint32Array | Uint8Array;

/** A growing list of numbers. */
export class Column<A extends Numbers> {
  length = 0;
  constructor(private values: A, private readonly make: (length: number) => A) {}

  static of32(): Column<Uint32Array> {
    return new Column(new Uint32Array(64), (length) => new Uint32Array(length));
  }
  static of64(): Column<Float64Array> {
    return new Column(new Float64Array(64), (length) => new Float64Array(length));
  }
  static of8(): Column<Uint8Array> {
    return new Column(new Uint8Array(64), (length) => new Uint8Array(length));
  }

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = this.make(this.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length++] = value;
  }

  /** The value at a place that is there. */
  at(place: number): number {
    return this.values[place] ?? 0;
  }
}

export class Blocks {
  private readonly streams = Column.of8();
  private readonly offsets = Column.of64();
  private readonly sizes = Column.of32();
  private readonly lines = Column.of32();
  private readonly partials = Column.of8();
  private readonly times = Column.of64();
  private readonly commands = Column.of32();
  /** Where each stream ends, by the blocks so far. */
  readonly ends: [number, number];

  /** `from`: where each stream's first block begins. */
  constructor(from: readonly [number, number] = [0, 0]) {
    this.ends = [...from];
  }

  get length(): number {
    return this.streams.length;
  }

  push(stream: OutputStream, bytes: number, newlines: number, partial: boolean, at: number, command: number): void {
    this.streams.push(stream);
    this.offsets.push(this.ends[stream]);
    this.sizes.push(bytes);
    this.lines.push(newlines);
    this.partials.push(partial ? 1 : 0);
    this.times.push(at);
    this.commands.push(command);
    this.ends[stream] += bytes;
  }

  stream(place: number): OutputStream {
    return this.streams.at(place) as OutputStream;
  }
  offset(place: number): number {
    return this.offsets.at(place);
  }
  bytes(place: number): number {
    return this.sizes.at(place);
  }
  newlines(place: number): number {
    return this.lines.at(place);
  }
  partial(place: number): boolean {
    return this.partials.at(place) === 1;
  }
  at(place: number): number {
    return this.times.at(place);
  }
  command(place: number): number {
    return this.commands.at(place);
  }
  /** Where a block's bytes end in their stream. */
  end(place: number): number {
    return this.offset(place) + this.bytes(place);
  }
}
