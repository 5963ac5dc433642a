import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../src/api/types";
import { behind, Chain } from "../src/pages/terminals/chain";
import { cancelSummary, NowBar } from "../src/pages/terminals/now-bar";
import { showJob, type Screen } from "../src/pages/terminals/replay";
import { Questions } from "../src/ui/dialog";
import { Toasts } from "../src/ui/toast";

const screenOf = (written: string[]): Screen => ({
  write: (text, done) => {
    written.push(text);
    done?.();
  },
});

describe("the chain of a tab's jobs", () => {
  function chained() {
    const ends = new Map<string, { end: () => void; fail: (error: Error) => void; stays: () => void }>();
    const shown: (string | null)[] = [];
    const chain = new Chain(
      (jobId, stays) => new Promise((end, fail) => void ends.set(jobId, { end, fail, stays })),
      (jobId) => shown.push(jobId),
    );
    return { chain, ends, shown };
  }
  it("shows one after the other, and says which one stays", async () => {
    const { chain, ends, shown } = chained();
    chain.add(["a", "b"]);
    chain.add(["a", "b", "c"]);
    expect([...ends.keys()]).toEqual(["a"]);
    ends.get("a")!.stays();
    ends.get("a")!.end();
    await waitFor(() => expect([...ends.keys()]).toEqual(["a", "b"]));
    ends.get("b")!.end();
    await waitFor(() => ends.get("c")!.stays());
    ends.get("c")!.end();
    await waitFor(() => expect(shown).toEqual(["a", "c", null]));
  });
  it("goes on behind one that cannot be shown, and with jobs that come later", async () => {
    const { chain, ends, shown } = chained();
    chain.add(["a", "b"]);
    ends.get("a")!.fail(new Error("no"));
    await waitFor(() => ends.get("b")!.end());
    await waitFor(() => expect(shown).toEqual([null]));
    chain.add(["c"]);
    expect(ends.has("c")).toBe(true);
  });
  it("begins nothing more once it is stopped", async () => {
    const { chain, ends, shown } = chained();
    chain.add(["a", "b"]);
    chain.stop();
    ends.get("a")!.end();
    await waitFor(() => expect(shown).toEqual([null]));
    expect(ends.has("b")).toBe(false);
  });
  it("knows what is behind a job", () => {
    expect(behind(["a", "b", "c"], "a")).toEqual(["b", "c"]);
    expect(behind(["a", "b", "c"], "c")).toEqual([]);
    expect(behind(["b", "c"], "a")).toEqual(["b", "c"]);
  });
});

describe("with a server", () => {
  let jobs: Record<string, Partial<Job>> = {};
  let output: Record<string, Uint8Array[]> = {};
  let cancelled: string[] = [];
  let asked: { url: URL; signal: AbortSignal | null }[] = [];
  /** Answers instead of what stands here; null: as ever. */
  let answer: (url: URL, signal: AbortSignal | null) => Response | null = () => null;
  const outputs = () => asked.filter(({ url }) => url.pathname.endsWith("jobs/output"));
  beforeEach(() => {
    jobs = output = {};
    cancelled = [];
    asked = [];
    answer = () => null;
    HTMLDialogElement.prototype.showModal = function () {
      this.open = true;
    };
    HTMLDialogElement.prototype.close = function () {
      this.open = false;
    };
    vi.stubGlobal("EventSource", class extends EventTarget { close = () => undefined; });
    vi.stubGlobal("fetch", (address: string, init: RequestInit) => {
      const url = new URL(address);
      asked.push({ url, signal: init.signal ?? null });
      const other = answer(url, init.signal ?? null);
      if (other) return Promise.resolve(other);
      if (url.pathname.endsWith("jobs/cancel")) {
        const { jobId } = JSON.parse(init.body as string) as { jobId: string };
        cancelled.push(jobId);
        return Promise.resolve(Response.json({ jobId, alreadyOver: jobs[jobId]?.status === "completed" }));
      }
      const jobId = url.searchParams.get("jobId") ?? "";
      if (url.pathname.endsWith("jobs/status")) return Promise.resolve(Response.json({ jobId, ...jobs[jobId] }));
      const pieces = output[url.searchParams.get("stream") ?? ""] ?? [];
      const body = new ReadableStream<Uint8Array>({ start: (to) => (pieces.forEach((piece) => to.enqueue(piece)), to.close()) });
      return Promise.resolve(new Response(body));
    });
  });
  afterEach(() => {
    cleanup();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it("writes what a job prints as text and colours, each stream by itself", async () => {
    const encoder = new TextEncoder();
    const e = encoder.encode("é");
    jobs = { a: { status: "completed", attempt: 1, workerId: "w1", stdoutBytes: 9, stderrBytes: 3 } };
    output = { stdout: [e.subarray(0, 1), e.subarray(1), encoder.encode("\x1b]52;c;aGk=\x07\x1b[31mred\x1b[2J\n")], stderr: [encoder.encode("日\n")] };
    const written: string[] = [];
    const stays = vi.fn();
    await showJob("a", screenOf(written), new AbortController().signal, stays);
    const all = written.join("");
    for (const part of ["é", "日\n", "\x1b[31mred\n", "completed on w1"]) expect(all).toContain(part);
    expect(all).not.toMatch(/\ufffd|52;c|\[2J/);
    expect(stays).not.toHaveBeenCalled();
  });

  it("ends the last line of the output before it says how the job ended", async () => {
    jobs = { a: { status: "completed", attempt: 1, workerId: "w1" } };
    output = { stdout: [new TextEncoder().encode("foo\x1b[32m")], stderr: [] };
    const written: string[] = [];
    await showJob("a", screenOf(written), new AbortController().signal, vi.fn());
    // eslint-disable-next-line no-control-regex -- the colours
    expect(written.join("").replace(/\x1b\[[\d;]*m/g, "")).toContain("foo\r\n✓ completed on w1\r\n");
  });

  it("does not follow the output of a job that waits, and follows it from near its end once it runs", async () => {
    jobs = { a: { status: "pending" } };
    const abort = new AbortController();
    const shown = showJob("a", screenOf([]), abort.signal, vi.fn());
    await new Promise((done) => setTimeout(done, 200));
    expect(outputs()).toEqual([]);
    jobs = { a: { status: "running", attempt: 1, stdoutBytes: 200_000_000 } };
    await waitFor(() => expect(outputs()).toHaveLength(2), { timeout: 4000 });
    expect(outputs().map(({ url }) => url.searchParams.get("offset"))).toEqual([String(200_000_000 - 256 * 1024), "0"]);
    abort.abort();
    await shown;
  });

  it("reads no more than the screen has drawn", async () => {
    jobs = { a: { status: "completed", attempt: 1 } };
    const encoder = new TextEncoder();
    output = { stdout: [encoder.encode("one\n"), encoder.encode("two\n")], stderr: [] };
    const waiting: { text: string; done: () => void }[] = [];
    const abort = new AbortController();
    const shown = showJob("a", { write: (text, done) => void waiting.push({ text, done: done ?? (() => undefined) }) }, abort.signal, vi.fn());
    const has = (text: string) => waiting.find((one) => one.text === text);
    await waitFor(() => expect(has("one\n")).toBeDefined());
    await new Promise((done) => setTimeout(done, 100));
    expect(has("two\n")).toBeUndefined();
    has("one\n")!.done();
    await waitFor(() => expect(has("two\n")).toBeDefined());
    abort.abort(); // a screen that is gone holds nothing up
    await shown;
  });

  it("gives its connections back while the page is out of sight, and goes on where it was", async () => {
    jobs = { a: { status: "running", attempt: 1 } };
    answer = (url, signal) => {
      if (!url.pathname.endsWith("jobs/output")) return null;
      const body = new ReadableStream<Uint8Array>({
        start: (to) => {
          if (url.searchParams.get("offset") === "0") to.enqueue(new TextEncoder().encode("12345\n"));
          signal?.addEventListener("abort", () => to.error(new DOMException("stopped", "AbortError")));
        },
      });
      return new Response(body);
    };
    const abort = new AbortController();
    const shown = showJob("a", screenOf([]), abort.signal, vi.fn());
    await waitFor(() => expect(outputs()).toHaveLength(2));
    const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(true);
    document.dispatchEvent(new Event("visibilitychange"));
    expect(outputs().some(({ signal }) => signal?.aborted)).toBe(false);
    await waitFor(() => expect(outputs().every(({ signal }) => signal?.aborted)).toBe(true), { timeout: 3000 });
    await new Promise((done) => setTimeout(done, 400));
    expect(outputs()).toHaveLength(2);
    hidden.mockReturnValue(false);
    document.dispatchEvent(new Event("visibilitychange"));
    await waitFor(() => expect(outputs()).toHaveLength(4));
    expect(outputs().slice(2).map(({ url }) => url.searchParams.get("offset"))).toEqual(["6", "6"]);
    abort.abort();
    await shown;
  });

  it("tells a job that is gone from one that cannot be shown", async () => {
    const said = async (status: number): Promise<string> => {
      answer = () => Response.json({ error: "The disk has a fault.", code: "X" }, { status });
      const written: string[] = [];
      await showJob("a", screenOf(written), new AbortController().signal, vi.fn());
      return written.join("");
    };
    expect(await said(404)).toContain("a is no longer known.");
    expect(await said(500)).toContain("a cannot be shown: The disk has a fault.");
  });

  it("says why the job shown waits, and cancels that one, or those behind it", async () => {
    jobs = { head: { status: "pending", command: "make", waiting: "No worker has the label gpu." }, b: { status: "completed" }, c: { status: "pending" } };
    render(<><NowBar jobId="head" behind={["b", "c"]} /><Questions /></>);
    expect(await screen.findAllByText(/No worker has the label gpu\./)).not.toHaveLength(0);
    fireEvent.click(screen.getByRole("button", { name: "Cancel this job" }));
    await waitFor(() => expect(cancelled).toEqual(["head"]));
    fireEvent.click(await screen.findByRole("button", { name: "Cancel the one behind it" }));
    fireEvent.click(await screen.findByRole("button", { name: "Cancel them", hidden: true }));
    await waitFor(() => expect(cancelled).toEqual(["head", "c"]));
    await waitFor(() => expect(screen.queryByText(/behind it/)).toBeNull());
    cleanup();
    render(<NowBar jobId="head" behind={["b", "c"]} />); // what was cancelled is not offered again
    await screen.findByRole("button", { name: "Cancel this job" });
    await new Promise((done) => setTimeout(done, 100));
    expect(screen.queryByText(/behind it/)).toBeNull();
  });

  it("goes on with the others when one cannot be cancelled", async () => {
    jobs = { head: { status: "pending" }, d: { status: "pending" }, e: { status: "pending" } };
    let refusals = 1;
    answer = (url) => (url.pathname.endsWith("jobs/cancel") && refusals-- > 0 ? Response.json({ error: "Not now." }, { status: 500 }) : null);
    render(<><NowBar jobId="head" behind={["d", "e"]} /><Questions /><Toasts /></>);
    fireEvent.click(await screen.findByRole("button", { name: "Cancel the 2 behind it" }));
    fireEvent.click(await screen.findByRole("button", { name: "Cancel them", hidden: true }));
    await screen.findByText("1 job cancelled, 1 failed (d: Not now.).");
    expect(cancelled).toEqual(["e"]);
    await screen.findByRole("button", { name: "Cancel the one behind it" });
  });

  it("says what became of each", () => {
    expect(cancelSummary(3, 0, new Map())).toBe("3 jobs cancelled.");
    expect(cancelSummary(4, 1, new Map([["a", "No."]]))).toBe("2 jobs cancelled, 1 was over already, 1 failed (a: No.).");
  });

  it("offers nothing of a job that is no longer known, and asks for it rarely", async () => {
    answer = () => Response.json({ error: "There is no such job.", code: "NO_SUCH_JOB" }, { status: 404 });
    render(<NowBar jobId="a" behind={[]} />);
    expect(await screen.findAllByText("The job is no longer known.")).toHaveLength(2);
    expect(screen.queryByRole("button")).toBeNull();
    await new Promise((done) => setTimeout(done, 2500));
    expect(asked.length).toBeLessThanOrEqual(2);
  });

  it("offers nothing to cancel when the job has ended", async () => {
    jobs = { a: { status: "completed", workerId: "w1", completedAt: Date.now() } };
    render(<NowBar jobId="a" behind={[]} />);
    await screen.findAllByText(/completed/i);
    await waitFor(() => expect(screen.queryByRole("button")).toBeNull());
    expect(screen.getByRole("link", { name: "Open job" }).getAttribute("href")).toContain("a");
  });
});
