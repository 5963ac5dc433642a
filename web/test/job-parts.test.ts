import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { ApiError } from "../src/api/client";
import { parseLine, plainLine, sgr } from "../src/lib/ansi";
import { contrast, dress, readable, rgbOf, type Rgb } from "../src/lib/ansicolour";
import { commandTexts, Journal, span3, usage } from "../src/lib/journal";
import { follow } from "../src/lib/follow";
import { shellQuote } from "../src/lib/quote";
import { curlOf } from "../src/pages/job/urls";
import { lineQuery, linesOf } from "../src/pages/job/chosen";
import { receipts } from "../src/pages/job/certificate";
import { requestAgain } from "../src/api/calls";
import { stepsOf } from "../src/pages/job/steps";
import type { Job } from "../src/api/types";

const feed = (text: string): Journal => {
  const journal = new Journal();
  journal.feed(new TextEncoder().encode(text));
  return journal;
};
const job = (more: Partial<Job>): Job => ({ jobId: "job-1705329400000-abc123xyz", status: "completed", command: "make\n\nmake test", fileUrl: "/uploads/x.zip", filename: "x.zip", ...more });

describe("the journal", () => {
  it("tells phases, commands and use", () => {
    const journal = feed("0 phase download\n131 begin 1\n140 out 512 7\n141 err 80 1+\n150 end 1 0\n151 begin 2\n160 end 2 137 9\n1000 use 830 10485760 3\n");
    expect(journal.phases).toEqual([{ name: "download", at: 0 }]);
    expect(journal.commands).toEqual([{ number: 1, begin: 131, end: 150, exitCode: 0, signal: null }, { number: 2, begin: 151, end: 160, exitCode: 137, signal: 9 }]);
    expect(journal.uses).toEqual([{ at: 1000, cpuMs: 830, memory: 10485760, processes: 3 }]);
    expect(journal.blocks.ends).toEqual([512, 80]);
    expect(journal.blocks.partial(1)).toBe(true);
  });
  it("ignores what it does not know, and never lets time go back", () => {
    const journal = feed("500 phase run\nnonsense\n\n100 begin 1\n501 future 1 2 3\n-1 begin 2\n502 end 7 0\n");
    expect(journal.commands).toEqual([{ number: 1, begin: 500, end: null, exitCode: null, signal: null }]);
    expect(journal.cutAt).toBeNull();
  });
  it("is cut where output makes no sense, for all behind it would be shifted", () => {
    for (const entry of ["out 99999999999 1", "out x 1", "out 5 6", "out 5 0", "err 10"]) {
      const journal = feed(`1 out 2 1\n2 ${entry}\n3 out 2 1\n`);
      expect([journal.cutAt, journal.blocks.length]).toEqual([2, 1]);
    }
    expect(feed("9000 cut\n").cutAt).toBe(9000);
  });
  it("makes cores of CPU time, and few points of many", () => {
    expect(usage([{ at: 1000, cpuMs: 500, memory: 5, processes: 1 }, { at: 2000, cpuMs: 2500, memory: 7, processes: 1 }])).toEqual({ at: [1000, 2000], cores: [0.5, 2], memory: [5, 7] });
    expect(usage(Array.from({ length: 50_000 }, (_, at) => ({ at: at * 1000, cpuMs: at, memory: at, processes: 1 }))).at.length).toBeLessThan(1600);
    expect(span3([1, 2, 6])).toEqual({ min: 1, avg: 3, max: 6 });
    expect(span3([])).toBeNull();
  });
  it("counts commands as the worker does", () => {
    expect(commandTexts("make\n\n  \nmake test\n")).toEqual(["make", "make test"]);
  });
});

describe("ANSI", () => {
  it("follows colours over lines and back", () => {
    const first = parseLine("a\x1b[1;31mred");
    expect(first.pieces).toEqual([{ text: "a", look: null }, { text: "red", look: { bold: true, fg: 1 } }]);
    expect(parseLine("more\x1b[0m", first.look).pieces[0]?.look?.fg).toBe(1);
    expect(parseLine("more\x1b[0m", first.look).look).toBeNull();
  });
  it("reads 256 and true colours in both spellings", () => {
    expect(sgr(null, "38;5;208")).toEqual({ fg: 208 });
    expect(sgr(null, "48;2;1;2;3")).toEqual({ bg: [1, 2, 3] });
    expect(sgr(null, "38:2::1:2:3")).toEqual({ fg: [1, 2, 3] });
    expect(sgr(null, "97;100")).toEqual({ fg: 15, bg: 8 });
    expect(sgr({ bold: true }, "22")).toBeNull();
    expect(sgr(null, "38;5;99999")).toEqual({ fg: 255 });
  });
  it("drops what else a terminal would do, and shows what would hide", () => {
    expect(plainLine("\x1b]0;title\x07a\x1b[2Jb\x1b[Hc\x1b(Bd\x07")).toBe("abcd");
    expect(plainLine("x\u202Ey\x00z\x1b")).toBe("x\u2039U+202E\u203ay\u2400z");
    expect(plainLine("10 %\r20 %\r\n".replace("\n", ""))).toBe("20 %");
    expect(plainLine("50 %\r")).toBe("50 %");
    expect(plainLine("<b>&amp;</b>\t1")).toBe("<b>&amp;</b>\t1");
  });
  it("makes any colour readable", () => {
    for (let colour = 0; colour < 256; colour++)
      for (const ground of [[255, 255, 255], [14, 19, 24], rgbOf(255 - colour)] as Rgb[]) expect(contrast(readable(rgbOf(colour), ground), ground)).toBeGreaterThanOrEqual(4.5);
    expect(dress({ fg: 2, bold: true })).toEqual({ class: "a-bold a-2", style: undefined });
  });
});

describe("curl", () => {
  it("is one word of a shell for any text", () => {
    for (const text of ["", "'", "a'b''c", "$(x) `y` \\ \" !", "new\nline\t", "日本 😀", "-n", "'\\''"])
      expect(execFileSync("sh", ["-c", `printf %s ${shellQuote(text)}`]).toString()).toBe(text);
  });
  it("submits the same job", () => {
    const text = curlOf(job({ command: "echo 'it''s'\nls", labels: { a: "b" } }), "http://x/api/jobs/create");
    const body = execFileSync("sh", ["-c", text.replace(/^curl .*?--data-raw/s, "printf '%s\\n'")]).toString().split("\n")[0] ?? "";
    expect(JSON.parse(body)).toEqual({ command: "echo 'it''s'\nls", fileUrl: "/uploads/x.zip", filename: "x.zip", labels: { a: "b" } });
  });
});

describe("following", () => {
  it("goes on from where it was when connections break, and reads nothing twice", async () => {
    const data = new TextEncoder().encode("0123456789".repeat(20));
    let got = "";
    let calls = 0;
    let size = 0;
    const end = await follow(
      {
        open: (offset) => {
          calls++;
          if (calls === 2) return Promise.reject(new ApiError("away", "BROKER_AWAY", 503));
          let sent = false;
          const body = new ReadableStream<Uint8Array>({
            pull: (controller) => {
              if (!sent) controller.enqueue(data.slice(offset, calls < 4 ? offset + 70 : undefined));
              else if (calls === 1) controller.error(new Error("cut"));
              else controller.close();
              sent = true;
            },
          });
          return Promise.resolve(new Response(body));
        },
        offset: () => size,
        take: (bytes) => {
          size += bytes.length;
          got += new TextDecoder().decode(bytes);
        },
        over: () => calls >= 3,
      },
      new AbortController().signal,
    );
    expect(end).toBe("done");
    expect(got).toBe("0123456789".repeat(20));
  });
  it("knows what is gone, and what never was", async () => {
    const refused = (status: number) => follow({ open: () => Promise.reject(new ApiError("", "X", status)), offset: () => 0, take: () => undefined, over: () => true }, new AbortController().signal);
    expect(await Promise.all([refused(410), refused(404), refused(416), refused(400)])).toEqual(["gone", "none", "done", "none"]);
  });
});

describe("words and steps", () => {
  it("reads and writes chosen lines", () => {
    expect([linesOf("12"), linesOf("15-12"), linesOf("0"), linesOf("x"), linesOf(null)]).toEqual([[12, 12], [12, 15], null, null, null]);
    expect([lineQuery(3, 3), lineQuery(9, 4)]).toEqual(["3", "4-9"]);
  });
  it("says whether the output is whole", () => {
    expect(receipts({ ...job({ stdoutBytes: 1024, stdoutDropped: 2048 }), stdoutSha256: "ab" })).toBe("The output is whole: worker and broker agree on 1.0 KiB and their SHA-256. 2.0 KiB beyond the limit were not kept.");
    expect(receipts(job({}))).toBe("");
  });
  it("makes steps of the record and the journal", () => {
    const journal = feed("0 phase download\n100 phase run\n110 begin 1\n500 end 1 0\n501 begin 2\n900 end 2 3\n950 phase upload\n");
    const steps = stepsOf(job({ createdAt: 1000, startedAt: 2000, completedAt: 3000, status: "failed" }), null, journal, 2000);
    expect(steps.map(({ title, from, to, more }) => [title, from, to, more])).toEqual([
      ["Waited", 1000, 2000, ""], ["Download", 2000, 2100, ""], ["make", 2110, 2500, ""], ["make test", 2501, 2900, "exit 3"], ["Send output", 2950, 3000, ""],
    ]);
    const pending = stepsOf(job({ createdAt: 1000, status: "pending", waiting: "All workers are busy." }), null, null, null);
    expect(pending).toMatchObject([{ title: "Waited", to: null, state: "running", more: "All workers are busy." }]);
  });
  it("tells what each attempt waited for, as far as the page has heard", () => {
    const attempts = [
      { attempt: 1, status: "lost" as const, startedAt: 2000, completedAt: 3000 },
      { attempt: 2, status: "failed" as const, startedAt: 5000, completedAt: 6000 },
    ];
    const again = job({ createdAt: 1000, startedAt: 5000, status: "pending", attempt: 2, attempts, waiting: "It pauses." });
    expect(stepsOf(again, attempts[0] ?? null, null, 2000, "All workers were busy.")).toMatchObject([{ from: 1000, to: 2000, more: "All workers were busy." }]);
    expect(stepsOf(again, attempts[1] ?? null, null, 5000)).toMatchObject([{ from: 3000, to: 5000, more: "" }, { title: "Waits to run again", from: 6000, to: null, more: "It pauses." }]);
  });
  it("runs a direct job again on its worker", () => {
    expect(requestAgain(job({ directWorker: "lab-7", requires: { gpu: "yes" } })).requires).toEqual({ gpu: "yes", worker: "lab-7" });
    expect(requestAgain(job({})).requires).toBeUndefined();
    expect(requestAgain(job({ network: "none" })).network).toBe("none");
  });
  it("runs a job again on the same project, with what was laid over it", () => {
    expect(requestAgain(job({ deltaUrl: "/uploads/d.zip" }))).toMatchObject({ fileUrl: "/uploads/x.zip", deltaUrl: "/uploads/d.zip" });
    expect(requestAgain(job({ deltaUrl: null })).deltaUrl).toBeUndefined();
  });
  it("runs a job again within its limits, and one with secrets not without them", () => {
    const limits = { memoryMb: 512, cpus: 1.5, diskMb: 100, pids: 64 };
    expect(requestAgain(job(limits))).toMatchObject(limits);
    expect(() => requestAgain(job({ secretNames: ["TOKEN"] }))).toThrow("TOKEN");
  });
});
