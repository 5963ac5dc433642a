// What happened in an attempt, from its journal: phases, commands, use of the machine, and for every block of output its
// size and its lines. So the page knows where line 700,000 is without having read the output.

import { BLOCK_MAX, Blocks, STDERR, STDOUT } from "./logblocks";

export interface Phase {
  name: string;
  /** Ms since the worker was handed the attempt, as all times here. */
  at: number;
}

export interface CommandRun {
  /** As the worker counts: from 1, blank lines left out. */
  number: number;
  begin: number;
  end: number | null;
  exitCode: number | null;
  signal: number | null;
}

export interface Use {
  at: number;
  /** Used by all its processes so far. */
  cpuMs: number;
  memory: number;
  processes: number;
}

const LINE_MAX = 1024;
const COMMANDS_MAX = 100_000;

/** A count as the journal writes it; -1 for what is none. */
function whole(text: string | undefined): number {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return -1;
  return Number(text);
}

export class Journal {
  readonly phases: Phase[] = [];
  readonly commands: CommandRun[] = [];
  readonly uses: Use[] = [];
  readonly blocks = new Blocks();
  /** From here on the output is not in the journal, for want of room, or because an entry made no sense; null: all is. */
  cutAt: number | null = null;
  /** Bytes taken so far: where to go on reading. */
  size = 0;
  /** The time of the last entry. */
  lastAt = 0;
  private rest = "";
  private readonly decoder = new TextDecoder("latin1"); // it is ASCII, and a byte a character keeps odd bytes harmless

  /** Takes the next bytes, which may begin and end anywhere. */
  feed(bytes: Uint8Array): void {
    this.size += bytes.length;
    const lines = (this.rest + this.decoder.decode(bytes)).split("\n");
    const last = lines.pop() ?? "";
    this.rest = last.length > LINE_MAX ? last.slice(0, LINE_MAX) : last;
    for (const line of lines) this.entry(line);
  }

  private entry(line: string): void {
    const [time, kind, one, two, three] = line.split(" ", 6);
    const ms = whole(time);
    if (ms < 0 || !kind) return;
    const at = (this.lastAt = Math.max(this.lastAt, ms));
    if (kind === "out" || kind === "err") this.output(kind, at, one, two);
    else if (kind === "use") this.use(at, whole(one), whole(two), whole(three));
    else if (kind === "begin") this.begin(at, whole(one));
    else if (kind === "end") this.end(at, whole(one), whole(two), whole(three));
    else if (kind === "phase" && one) this.phases.push({ name: one.slice(0, 40), at });
    else if (kind === "cut") this.cutAt ??= at;
  }

  private output(kind: "out" | "err", at: number, size: string | undefined, lines: string | undefined): void {
    if (this.cutAt !== null) return;
    const bytes = whole(size);
    const partial = lines?.endsWith("+") ?? false;
    const newlines = whole(partial ? lines?.slice(0, -1) : lines);
    const sensible = bytes >= 0 && bytes <= BLOCK_MAX && newlines >= 0 && newlines + (partial ? 1 : 0) <= bytes;
    if (!sensible || (bytes > 0 && newlines === 0 && !partial)) this.cutAt = at; // what follows would be off by unknown bytes
    else if (bytes > 0) this.blocks.push(kind === "out" ? STDOUT : STDERR, bytes, newlines, partial, at, this.commands.length);
  }

  private use(at: number, cpuMs: number, memory: number, processes: number): void {
    if (cpuMs >= 0 && memory >= 0) this.uses.push({ at, cpuMs, memory, processes: Math.max(0, processes) });
  }

  private begin(at: number, number: number): void {
    if (number < 1 || this.commands.length >= COMMANDS_MAX) return;
    this.commands.push({ number, begin: at, end: null, exitCode: null, signal: null });
  }

  private end(at: number, number: number, exitCode: number, signal: number): void {
    const run = this.commands.at(-1);
    if (run?.number !== number || run.end !== null) return;
    run.end = at;
    run.exitCode = exitCode < 0 ? null : exitCode;
    run.signal = signal > 0 ? signal : null;
  }
}

/** The text of each command by number: `texts[0]` is command 1. Blank lines do not count. */
export function commandTexts(command: string | null | undefined): string[] {
  return (command ?? "").split("\n").filter((line) => line.trim() !== "");
}

export interface Usage {
  /** Ms since the attempt began. */
  at: number[];
  /** Cores busy on average since the point before. */
  cores: number[];
  memory: number[];
}

const POINTS_MAX = 1500;

/** Cores and memory over time for a chart; of many entries every n-th, with the highest memory between them. */
export function usage(uses: readonly Use[]): Usage {
  const step = Math.max(1, Math.ceil(uses.length / POINTS_MAX));
  const result: Usage = { at: [], cores: [], memory: [] };
  let before: Use = { at: 0, cpuMs: 0, memory: 0, processes: 0 };
  let most = 0;
  uses.forEach((use, place) => {
    most = Math.max(most, use.memory);
    if ((place + 1) % step !== 0 && place !== uses.length - 1) return;
    const span = use.at - before.at;
    if (span > 0) {
      result.at.push(use.at);
      result.cores.push(Math.max(0, use.cpuMs - before.cpuMs) / span);
      result.memory.push(most);
      before = use;
      most = 0;
    }
  });
  return result;
}

export interface Span3 {
  min: number;
  avg: number;
  max: number;
}

/** Smallest, mean and largest; null of nothing. */
export function span3(values: readonly number[]): Span3 | null {
  if (values.length === 0) return null;
  let [min, max, sum] = [Infinity, -Infinity, 0];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { min, avg: sum / values.length, max };
}
