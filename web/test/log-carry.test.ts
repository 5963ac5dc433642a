// Colours over the ends of blocks: output cut anywhere must be dressed as the whole of it would be.

import { describe, expect, it } from "vitest";
import { parseLine, type Look, type Piece } from "../src/lib/ansi";
import { Blocks, STDERR, STDOUT, type OutputStream } from "../src/lib/logblocks";
import { Part } from "../src/lib/logindex";
import { LineReader } from "../src/lib/logread";

const encoder = new TextEncoder();

function random(seed: number): (below: number) => number {
  let state = seed + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Output in blocks, of which the bytes from `from` on can be read. */
class Output {
  readonly blocks = new Blocks();
  readonly from: [number, number] = [0, 0];
  reads = 0;
  private readonly data: [number[], number[]] = [[], []];

  add(text: string | Uint8Array, stream: OutputStream = STDOUT, command = 1): void {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    this.data[stream].push(...bytes);
    this.blocks.push(stream, bytes.length, bytes.filter((value) => value === 10).length, bytes.at(-1) !== 10, 0, command);
  }
  part(...streams: OutputStream[]): Part {
    const part = new Part(this.blocks, streams);
    part.sync();
    return part;
  }
  reader(): LineReader {
    return new LineReader({
      get: (stream, from, to) => {
        this.reads++;
        return from < this.from[stream] || to > this.data[stream].length ? null : Uint8Array.from(this.data[stream].slice(from, to));
      },
    });
  }
}

/** What can be seen of pieces: each text with its look. */
function seen(pieces: readonly Piece[] | undefined): string {
  const out: [string, string][] = [];
  for (const { text, look } of pieces ?? []) {
    const name = JSON.stringify(Object.entries(look ?? {}).sort());
    const last = out.at(-1);
    if (last?.[1] === name) last[0] += text;
    else if (text) out.push([text, name]);
  }
  return JSON.stringify(out);
}

function whole(text: string): string[] {
  let look: Look | null = null;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => {
    const parsed = parseLine(line, look);
    look = parsed.look;
    return seen(parsed.pieces);
  });
}

function rows(part: Part, reader: LineReader): string[] {
  return Array.from({ length: part.rows }, (_, row) => seen(reader.line(part, row)?.pieces));
}

const words = ["a", "bc\n", "\n", "\x1b[31m", "\x1b[1m", "\x1b[0m", "\x1b[m", "\x1b[38;5;99m", "\x1b[0;32m", "\x1b[22;39m", "long words\n", "é\n"];

function coloured(dice: (below: number) => number, pieces: number): string {
  return Array.from({ length: pieces }, () => words[dice(words.length)]).join("");
}

function cut(output: Output, text: string, dice: (below: number) => number, most: number): void {
  const data = encoder.encode(text);
  for (let at = 0; at < data.length; ) {
    const count = 1 + dice(most);
    output.add(data.subarray(at, at + count));
    at += count;
  }
}

describe("colours over the ends of blocks", () => {
  it("are those of the whole, wherever it was cut, also within an escape sequence", () => {
    for (let seed = 0; seed < 150; seed++) {
      const dice = random(seed);
      const text = coloured(dice, 80);
      const output = new Output();
      cut(output, text, dice, 1 + dice(40));
      expect(rows(output.part(STDOUT), output.reader())).toEqual(whole(text));
    }
  });

  it("come when the blocks before do, whichever rows were looked at until then", () => {
    for (let seed = 0; seed < 100; seed++) {
      const dice = random(seed);
      const text = coloured(dice, 120);
      const output = new Output();
      cut(output, text, dice, 12);
      const [part, reader] = [output.part(STDOUT), output.reader()];
      const size = output.blocks.ends[STDOUT];
      for (output.from[STDOUT] = size; output.from[STDOUT] > 0; output.from[STDOUT] = Math.max(0, output.from[STDOUT] - dice(60)))
        for (let round = 0; round < 6; round++) reader.line(part, dice(part.rows));
      const expected = whole(text);
      for (let round = 0; round < 30; round++) {
        const row = dice(part.rows);
        expect(seen(reader.line(part, row)?.pieces)).toBe(expected[row]);
      }
    }
  });

  it("are plain at a jump into the middle, and right once what is before was read", () => {
    const output = new Output();
    output.add("\x1b[31mred\n");
    for (let at = 0; at < 100; at++) output.add(`line ${at}\n`);
    const [part, reader] = [output.part(STDOUT), output.reader()];
    output.from[STDOUT] = output.blocks.offset(50);
    expect(reader.line(part, 60)?.pieces[0]?.look).toBeNull();
    expect(reader.line(part, 61)?.pieces[0]?.look).toBeNull();
    output.from[STDOUT] = 0;
    expect(reader.line(part, 61)?.pieces[0]?.look).toEqual({ fg: 1 });
    expect(reader.line(part, 60)?.pieces[0]?.look).toEqual({ fg: 1 });
  });

  it("are each stream's own, and end with their command", () => {
    const output = new Output();
    output.add("\x1b[32mgreen\n", STDOUT, 1);
    output.add("plain\n", STDERR, 1);
    output.add("still green\n", STDOUT, 1);
    output.add("new\n", STDOUT, 2);
    const part = output.part(STDOUT, STDERR);
    const reader = output.reader();
    expect(Array.from({ length: 4 }, (_, row) => reader.line(part, row)?.pieces[0]?.look)).toEqual([{ fg: 2 }, null, { fg: 2 }, null]);
  });

  it("are looked for so far and no further, once", () => {
    const output = new Output();
    output.add("\x1b[31mred\n");
    for (let at = 0; at < 20_000; at++) output.add("line\n");
    const [part, reader] = [output.part(STDOUT), output.reader()];
    reader.line(part, 15_000);
    expect(output.reads).toBeLessThan(1100);
    output.reads = 0;
    for (let round = 0; round < 20; round++) for (let row = 15_000; row < 15_040; row++) reader.line(part, row);
    expect(output.reads).toBeLessThan(200);
  });
});
