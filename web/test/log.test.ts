// The log without a browser: random output, cut into random blocks, must be seen as the lines it is.

import { describe, expect, it } from "vitest";
import { plainLine } from "../src/lib/ansi";
import { Journal } from "../src/lib/journal";
import { Blocks, STDERR, STDOUT, type OutputStream } from "../src/lib/logblocks";
import { ByteCache, PAGE } from "../src/lib/logbytes";
import { firstWhere, Layout, Part, sectionsOf } from "../src/lib/logindex";
import { decode, shownLine, SHOWN_MAX, splitLines, unfinished } from "../src/lib/loglines";
import { LineReader } from "../src/lib/logread";
import { ScrollMap } from "../src/lib/logscroll";
import { Search } from "../src/lib/logsearch";
import { indexBytes } from "../src/lib/logsource";
import { marks, matcher, matching } from "../src/lib/matcher";

function random(seed: number): (below: number) => number {
  let state = seed + 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const encoder = new TextEncoder();
const alphabet = ["a", "bc", "é", "日本", "😀", " ", "\n", "\n", "x".repeat(40)];

function randomText(dice: (below: number) => number, pieces: number): string {
  return Array.from({ length: pieces }, () => alphabet[dice(alphabet.length)]).join("");
}

/** A text without its last line end, as lines. */
function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

class Output {
  journal = "";
  bytes: [Uint8Array, Uint8Array] = [new Uint8Array(0), new Uint8Array(0)];
  add(at: number, stream: OutputStream, data: Uint8Array): void {
    if (data.length === 0) return;
    const newlines = data.filter((value) => value === 10).length;
    this.journal += `${at} ${stream === STDOUT ? "out" : "err"} ${data.length} ${newlines}${data.at(-1) === 10 ? "" : "+"}\n`;
    const joined = new Uint8Array(this.bytes[stream].length + data.length);
    joined.set(this.bytes[stream]);
    joined.set(data, this.bytes[stream].length);
    this.bytes[stream] = joined;
  }
  reader(): LineReader {
    return new LineReader({ get: (stream, from, to) => this.bytes[stream].subarray(from, to) });
  }
}

function fed(text: string, dice?: (below: number) => number): Journal {
  const journal = new Journal();
  const data = encoder.encode(text);
  for (let at = 0; at < data.length; ) {
    const count = dice ? 1 + dice(40) : data.length;
    journal.feed(data.subarray(at, at + count));
    at += count;
  }
  return journal;
}

function allLines(part: Part, reader: LineReader): string[] {
  return Array.from({ length: part.rows }, (_, row) => reader.line(part, row)?.text ?? "MISSING");
}

describe("lines from blocks", () => {
  it("shows each stream's lines as the plain text has them, however it was cut", () => {
    for (let seed = 0; seed < 150; seed++) {
      const dice = random(seed);
      const output = new Output();
      const texts = [randomText(dice, 60), randomText(dice, 40)] as const;
      const data = texts.map((text) => encoder.encode(text));
      const at = [0, 0];
      for (let ms = 0; at[0]! < data[0]!.length || at[1]! < data[1]!.length; ms++) {
        const stream = dice(2) as OutputStream;
        const count = 1 + dice(30);
        output.add(ms, stream, data[stream]!.subarray(at[stream], at[stream]! + count));
        at[stream]! += count;
      }
      const journal = fed(output.journal, dice);
      for (const stream of [STDOUT, STDERR] as const) {
        const part = new Part(journal.blocks, [stream]);
        part.sync();
        expect(allLines(part, output.reader())).toEqual(linesOf(texts[stream]));
      }
    }
  });

  it("breaks a line where the other stream comes between, and loses no text", () => {
    for (let seed = 0; seed < 80; seed++) {
      const dice = random(seed);
      const output = new Output();
      let together = "";
      let last = -1;
      for (let at = 0; at < 40; at++) {
        const stream = dice(2) as OutputStream;
        const text = randomText(dice, 1 + dice(4));
        if (last !== -1 && last !== stream && !together.endsWith("\n")) together += "\n";
        together += text;
        last = stream;
        output.add(at, stream, encoder.encode(text));
      }
      const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
      part.sync();
      expect(allLines(part, output.reader())).toEqual(linesOf(together));
    }
  });

  it("grows as the journal grows, with the same result", () => {
    const dice = random(7);
    const output = new Output();
    for (let at = 0; at < 50; at++) output.add(at, STDOUT, encoder.encode(randomText(dice, 3)));
    const journal = new Journal();
    const part = new Part(journal.blocks, [STDOUT]);
    for (const line of output.journal.split(/(?<=\n)/)) {
      journal.feed(encoder.encode(line));
      part.sync();
    }
    expect(allLines(part, output.reader())).toEqual(linesOf(decode(output.bytes[STDOUT])));
  });

  it("puts a character together that the other stream has parted", () => {
    const output = new Output();
    output.add(0, STDOUT, new Uint8Array([0x61, 0xe2, 0x82]));
    output.add(1, STDERR, encoder.encode("between\n"));
    output.add(2, STDOUT, new Uint8Array([0xac, 0x31, 10]));
    const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
    part.sync();
    expect(allLines(part, output.reader())).toEqual(["a", "between", "€1"]);
  });

  it("shows of a line of many blocks what follows the last \\r, and cuts one that is too long", () => {
    const output = new Output();
    for (let at = 0; at < 1500; at++) output.add(at, STDOUT, encoder.encode(`\rat ${at} of 1500${" and more".repeat(12)}`));
    output.add(6000, STDOUT, encoder.encode("\n"));
    for (let at = 0; at < 5; at++) output.add(7000 + at, STDOUT, encoder.encode("y".repeat(50_000)));
    output.add(8000, STDOUT, encoder.encode("\nend\n"));
    const part = new Part(fed(output.journal).blocks, [STDOUT]);
    part.sync();
    const lines = allLines(part, output.reader());
    expect(lines[0]).toBe(`at 1499 of 1500${" and more".repeat(12)}`);
    expect(lines[1]).toHaveLength(SHOWN_MAX);
    expect(lines[2]).toBe("end");
  });

  it("indexes bytes without a journal to the same lines", () => {
    for (let seed = 0; seed < 40; seed++) {
      const dice = random(seed);
      const text = randomText(dice, 3000);
      const data = encoder.encode(text);
      const blocks = new Blocks();
      for (let at = 0; at < data.length; ) {
        const count = 1 + dice(3000);
        indexBytes(blocks, STDOUT, data.subarray(at, at + count));
        at += count;
      }
      const part = new Part(blocks, [STDOUT]);
      part.sync();
      const reader = new LineReader({ get: (_, from, to) => data.subarray(from, to) });
      expect(allLines(part, reader)).toEqual(linesOf(text));
    }
  });
});

describe("sections and folds", () => {
  it("has a section for each command, also for a silent one, and finds every row again", () => {
    const journal = fed("0 err 2 1\n1 begin 1\n2 out 4 2\n3 end 1 0\n4 begin 2\n5 end 2 1\n6 begin 3\n7 out 2 1+\n");
    const part = new Part(journal.blocks, [STDOUT, STDERR], journal.commands);
    part.sync();
    const sections = sectionsOf([{ name: "main", part, headed: true }]);
    expect(sections.map(({ command, row, rows, header }) => [command, row, rows, header])).toEqual([[0, 0, 1, false], [1, 1, 2, true], [2, 3, 0, true], [3, 3, 2, true]]);
    const layout = new Layout(sections, () => false);
    expect(layout.length).toBe(8);
    for (let row = 0; row < layout.rows; row++) expect(layout.at(layout.placeOf(row))).toMatchObject({ row });
    const folded = new Layout(sections, (section) => section.command === 1);
    expect(folded.length).toBe(6);
    expect(folded.at(folded.placeOf(2))).toMatchObject({ header: { command: 1 } });
    expect(folded.at(6)).toBeNull();
  });

  it("finds the first place that holds", () => {
    for (let count = 0; count < 20; count++) for (let at = 0; at <= count; at++) expect(firstWhere(count, (place) => place >= at)).toBe(at);
  });
});

describe("text", () => {
  it("knows the unfinished character at the end", () => {
    const whole = encoder.encode("😀");
    expect([0, 1, 2, 3, 4].map((count) => unfinished(whole.subarray(0, count)))).toEqual([0, 1, 2, 3, 0]);
    expect(unfinished(new Uint8Array([0xff]))).toBe(0);
  });
  it("keeps to the number of lines that the journal tells", () => {
    expect(splitLines("a\nb\n", 2)).toEqual(["a", "b"]);
    expect(splitLines("a", 3)).toEqual(["a", "", ""]);
    expect(splitLines("a\nb\nc", 2)).toEqual(["a", "b\u240ac"]);
  });
  it("does not cut through a pair", () => {
    const line = shownLine([{ text: "x".repeat(SHOWN_MAX - 1) + "😀", look: null }]);
    expect(line.text).toHaveLength(SHOWN_MAX - 1);
    expect(line.cut).toBe(2);
  });
});

describe("the cache of bytes", () => {
  const data = Uint8Array.from({ length: PAGE * 40 }, (_, at) => at % 251);
  it("fetches neighbouring pages together, at most 256 KiB, and nothing twice", async () => {
    const asked: number[] = [];
    const cache = new ByteCache((_, from, to) => { asked.push(to - from); return Promise.resolve(data.subarray(from, to)); }, () => undefined, () => true);
    cache.want([{ stream: STDOUT, from: 10, to: PAGE * 6 }]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(asked).toEqual([PAGE * 4, PAGE * 2]);
    cache.want([{ stream: STDOUT, from: 10, to: PAGE * 6 }]);
    expect(asked).toHaveLength(2);
    expect(cache.get(STDOUT, PAGE - 5, PAGE * 2 + 5)).toEqual(data.slice(PAGE - 5, PAGE * 2 + 5));
  });
  it("stays within its bound and forgets what was looked at longest ago", async () => {
    const cache = new ByteCache((_, from, to) => Promise.resolve(data.subarray(from, to)), () => undefined, () => true, undefined, 8);
    for (let page = 0; page < 40; page++) {
      cache.want([{ stream: STDOUT, from: page * PAGE, to: (page + 1) * PAGE }]);
      await Promise.resolve();
      await new Promise((resolve) => setTimeout(resolve, 0));
      expect(cache.held).toBeLessThanOrEqual(8 * PAGE);
    }
    expect(cache.get(STDOUT, 0, 10)).toBeNull();
    expect(cache.get(STDOUT, 39 * PAGE, 40 * PAGE)).not.toBeNull();
  });
  it("asks again for bytes that are not there yet", async () => {
    let there = 5;
    const cache = new ByteCache((_, from, to) => Promise.resolve(data.subarray(from, Math.min(to, there))), () => undefined, () => true);
    cache.want([{ stream: STDOUT, from: 0, to: 10 }]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(cache.get(STDOUT, 0, 10)).toBeNull();
    there = 10;
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(cache.get(STDOUT, 0, 10)).toEqual(data.slice(0, 10));
  });
});

describe("the scroll bar of very many lines", () => {
  it("reaches both ends and every part by dragging, and moves by pixels on the wheel", () => {
    const map = new ScrollMap(8_000_000);
    map.resize(20_000_000, 600);
    expect(map.height).toBe(8_000_000);
    map.moved(8_000_000 - 600);
    expect(map.top).toBe(20_000_000 - 600);
    map.moved(4_000_000);
    expect(map.top).toBeCloseTo(10_000_750, -4);
    const before = map.top;
    map.moved(4_000_120);
    expect(map.top).toBe(before + 120);
    map.moved(0);
    expect(map.top).toBe(0);
  });
  it("is the plain thing where lines are few", () => {
    const map = new ScrollMap();
    map.resize(5000, 600);
    for (const bar of [0, 100, 4400, 3, 2000]) {
      map.moved(bar);
      expect([map.top, map.bar]).toEqual([bar, bar]);
    }
    map.resize(1000, 600);
    expect(map.top).toBe(400);
  });
});

describe("search", () => {
  it("finds the rows that a plain search of the lines finds", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const dice = random(seed);
      const output = new Output();
      for (let at = 0; at < 60; at++) output.add(at, dice(2) as OutputStream, encoder.encode(randomText(dice, 1 + dice(5))));
      const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
      part.sync();
      const expression = matcher(["bc", "é日", "A", "^x+$"][seed % 4] ?? "", seed % 4 === 3) as RegExp;
      const search = new Search((texts) => matching(texts, expression), ({ stream, from, to }) => Promise.resolve(output.bytes[stream].subarray(from, to)), () => undefined);
      await search.run([part], new AbortController().signal);
      const rows = search.rows(part);
      const expected = allLines(part, output.reader()).flatMap((line, row) => (new RegExp(expression).test(line) ? [row] : []));
      expect(Array.from({ length: rows.length }, (_, at) => rows.at(at))).toEqual(expected);
    }
  });
  it("stands at bytes that are not there yet, and finds what they hold when they are", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const dice = random(seed);
      const output = new Output();
      for (let at = 0; at < 30; at++) output.add(at, dice(2) as OutputStream, encoder.encode(randomText(dice, 1 + dice(5))));
      const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
      part.sync();
      const expression = matcher("bc", false) as RegExp;
      const there: Record<number, number> = { [STDOUT]: dice(output.bytes[STDOUT].length), [STDERR]: dice(output.bytes[STDERR].length) };
      const search = new Search((texts) => matching(texts, expression), ({ stream, from, to }) => Promise.resolve(output.bytes[stream].subarray(from, Math.min(to, there[stream] ?? 0))), () => undefined);
      const { signal } = new AbortController();
      expect(await search.run([part], signal)).toBe(false);
      there[STDOUT] = there[STDERR] = Infinity;
      expect(await search.run([part], signal)).toBe(true);
      const rows = search.rows(part);
      const expected = allLines(part, output.reader()).flatMap((line, row) => (new RegExp(expression).test(line) ? [row] : []));
      expect(Array.from({ length: rows.length }, (_, at) => rows.at(at))).toEqual(expected);
    }
  });
  it("finds the same when another side tells what matches, stopped in between too", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const dice = random(seed);
      const output = new Output();
      for (let at = 0; at < 60; at++) output.add(at, dice(2) as OutputStream, encoder.encode(randomText(dice, 1 + dice(5))));
      const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
      part.sync();
      const expression = matcher("bc", true) as RegExp;
      let abort = new AbortController();
      let stops = 2;
      const later = async (texts: readonly string[]): Promise<number[]> => {
        await Promise.resolve();
        if (stops-- > 0) abort.abort();
        return matching(texts, expression);
      };
      const search = new Search(later, ({ stream, from, to }) => Promise.resolve(output.bytes[stream].subarray(from, to)), () => undefined);
      for (let run = 0; run < 3; run++) {
        abort = new AbortController();
        await search.run([part], abort.signal);
      }
      const rows = search.rows(part);
      const expected = allLines(part, output.reader()).flatMap((line, row) => (/bc/iu.test(line) ? [row] : []));
      expect(Array.from({ length: rows.length }, (_, at) => rows.at(at))).toEqual(expected);
    }
  });
  it("skips nothing and reads nothing twice when a run is stopped and the next one begins at once", async () => {
    const output = new Output();
    for (let at = 0; at < 100; at++) output.add(at, STDOUT, encoder.encode(`${"x".repeat(8000)}${at % 10}\n`));
    const part = new Part(fed(output.journal).blocks, [STDOUT, STDERR]);
    part.sync();
    const expression = matcher("x7$", true) as RegExp;
    const first = new AbortController();
    let second = Promise.resolve(false);
    const later = async (texts: readonly string[]): Promise<number[]> => {
      if (!first.signal.aborted) {
        first.abort();
        await (second = search.run([part], new AbortController().signal));
      }
      return matching(texts, expression);
    };
    const search = new Search(later, ({ stream, from, to }) => Promise.resolve(output.bytes[stream].subarray(from, to)), () => undefined);
    await search.run([part], first.signal);
    await second;
    const rows = search.rows(part);
    expect(Array.from({ length: rows.length }, (_, at) => rows.at(at))).toEqual([7, 17, 27, 37, 47, 57, 67, 77, 87, 97]);
    expect(search.scanned).toBe(part.bytes);
  });
  it("takes plain text as it is, and says what is wrong with an expression", () => {
    expect(marks("a.b a.B axb", matcher("a.b", false) as RegExp)).toEqual([[0, 3], [4, 7]]);
    expect(marks("a-b [x]", matcher("-b [x]", false) as RegExp)).toEqual([[1, 7]]);
    expect(typeof matcher("(", true)).toBe("string");
    expect(marks("aaa", matcher("x*", true) as RegExp)).toEqual([]);
  });
  it("searches what is seen, not the colours", () => {
    expect(plainLine("\x1b[31mer\x1b[0mror\r")).toBe("error");
  });
});
