import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { marks, matching } from "../src/lib/matcher";
import { plainNeedle, regexNeedle } from "../src/lib/needle";
import { LIMIT_MS, RegexClient, type FromWorker, type ToWorker } from "../src/lib/regex-client";

/** A worker that loads and answers when it is told to. */
class FakeWorker {
  static made: FakeWorker[] = [];
  onmessage: ((event: { data: FromWorker }) => void) | null = null;
  onerror: (() => void) | null = null;
  asked: ToWorker[] = [];
  ended = false;
  constructor() {
    FakeWorker.made.push(this);
  }
  postMessage(message: ToWorker): void {
    this.asked.push(message);
  }
  terminate(): void {
    this.ended = true;
  }
  say(data: FromWorker): void {
    this.onmessage?.({ data });
  }
  answer(): void {
    const { want, expression, texts } = this.asked.at(-1)!;
    this.say({ kind: "found", found: want === "rows" ? matching(texts, expression) : texts.map((text) => marks(text, expression)) });
  }
}
const worker = (): FakeWorker => FakeWorker.made.at(-1)!;

beforeEach(() => {
  FakeWorker.made = [];
  vi.stubGlobal("Worker", FakeWorker);
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a regular expression in a worker", () => {
  it("is asked one question after the other", async () => {
    const client = new RegexClient(/a+/gi, () => undefined);
    const rows = client.matching(["xa", "y", "A"]);
    const places = client.marks(["xaa"]);
    expect(worker().asked).toEqual([]);
    worker().say({ kind: "ready" });
    expect(worker().asked).toHaveLength(1);
    worker().answer();
    expect(await rows).toEqual([0, 2]);
    worker().answer();
    expect(await places).toEqual([[[1, 3]]]);
    expect(FakeWorker.made).toHaveLength(1);
  });
  it("is ended when an answer takes too long, which is told once", async () => {
    const failed = vi.fn();
    const client = new RegexClient(/(a+)+$/g, failed);
    const first = client.matching(["aaab"]);
    const second = client.marks(["aaab"]);
    const ends = Promise.allSettled([first, second]);
    vi.advanceTimersByTime(LIMIT_MS * 10);
    expect(failed).not.toHaveBeenCalled(); // it has not been loaded yet
    worker().say({ kind: "ready" });
    vi.advanceTimersByTime(LIMIT_MS + 1);
    expect(worker().ended).toBe(true);
    expect(client.over).toBe(true);
    expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(client.matching(["a"])).rejects.toThrow(/takes too long/);
    expect(failed).toHaveBeenCalledTimes(1);
    expect(failed.mock.calls[0]?.[0]).toMatch(/takes too long/);
  });
  it("has the whole time for each question", async () => {
    const failed = vi.fn();
    const client = new RegexClient(/a/g, failed);
    for (let at = 0; at < 5; at++) {
      const found = client.matching(["a"]);
      if (at === 0) worker().say({ kind: "ready" });
      vi.advanceTimersByTime(LIMIT_MS - 1);
      worker().answer();
      expect(await found).toEqual([0]);
    }
    vi.advanceTimersByTime(LIMIT_MS * 10);
    expect(failed).not.toHaveBeenCalled();
  });
  it("says what the expression is refused for, and when the worker does not load", async () => {
    for (const break_ of [() => worker().say({ kind: "failed", text: "too large" }), () => worker().onerror?.()]) {
      const failed = vi.fn();
      const found = new RegexClient(/a/g, failed).matching(["a"]);
      break_();
      await expect(found).rejects.toThrow();
      expect(failed).toHaveBeenCalledTimes(1);
      expect(worker().ended).toBe(true);
    }
  });
  it("is closed without a word", async () => {
    const failed = vi.fn();
    const client = new RegexClient(/a/g, failed);
    const found = client.matching(["a"]);
    client.close();
    await expect(found).rejects.toThrow("closed");
    expect(worker().ended).toBe(true);
    expect(failed).not.toHaveBeenCalled();
  });
});

describe("marks", () => {
  it("of plain text are there at once, of an expression when its worker has told them", async () => {
    expect(plainNeedle(/b/g).marks("abc")).toEqual([[1, 2]]);
    const changed = vi.fn();
    const needle = regexNeedle(/b/g, changed, () => undefined);
    expect(needle.marks("abc")).toEqual([]);
    expect(needle.marks("abc")).toEqual([]);
    expect(needle.marks("x")).toEqual([]);
    await Promise.resolve();
    worker().say({ kind: "ready" });
    expect(worker().asked.map(({ texts }) => texts)).toEqual([["abc", "x"]]);
    worker().answer();
    await vi.waitFor(() => expect(changed).toHaveBeenCalledTimes(1));
    expect(needle.marks("abc")).toEqual([[1, 2]]);
    expect(needle.marks("abc")).toBe(needle.marks("abc"));
    needle.close();
    expect(needle.over()).toBe(true);
    expect(needle.marks("bb")).toEqual([]);
  });
});
