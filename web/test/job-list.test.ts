import { describe, expect, it } from "vitest";
import type { Job, JobEvent, JobFilter, JobState } from "../src/api/types";
import { addEvents, addNewest, addPage, doneWords, each, endWords, everything, filterOf, idsBetween, isCapped, isNarrowed, readWanted, ROWS_MAX, writeWanted } from "../src/lib/job-list";

const job = (number: number, status: JobState = "pending", attempt = 0): Job => ({ jobId: `job-${number}`, status, attempt });
const event = (number: number, status: JobState, more: Partial<JobEvent> = {}): JobEvent => ({
  eventId: "1", eventType: "job", time: 5000, jobId: `job-${number}`, status, ...more,
});
const ids = (rows: Job[]): string => rows.map((row) => row.jobId.slice(4)).join(" ");

describe("the filter", () => {
  it("is the same after a way through the address", () => {
    const wanted = { ...everything, state: "failed", text: "a & b", span: "custom", from: "2026-01-02T03:04" } as const;
    expect(readWanted(new URLSearchParams(writeWanted(wanted)))).toEqual(wanted);
    expect(readWanted(new URLSearchParams("state=nonsense&span=x"))).toEqual(everything);
    expect(isNarrowed(everything)).toBe(false);
  });
  it("becomes what the API is asked", () => {
    expect(filterOf({ ...everything, span: "day" }, 100_000_000)).toMatchObject({ since: 13_600_000 });
    const custom = filterOf({ ...everything, span: "custom", from: "2026-01-02T03:04", to: "nonsense" }, 0);
    expect(custom.since).toBe(new Date("2026-01-02T03:04").getTime());
    expect(custom.until).toBeUndefined();
    expect(filterOf({ ...everything, from: "2026-01-02T03:04", text: " x " }, 0)).toEqual({ state: "", text: "x", worker: "", label: "" });
  });
});

describe("what was done to many", () => {
  it("counts those apart that were over before, and those that failed not at all", () => {
    expect(doneWords(3, 0, 0, "cancelled")).toBe("3 jobs cancelled.");
    expect(doneWords(5, 1, 2, "cancelled")).toBe("2 cancelled, 2 were over already.");
    expect(doneWords(1, 0, 1, "cancelled")).toBe("0 cancelled, 1 was over already.");
    expect(doneWords(2, 2, 0, "cancelled")).toBe("");
  });
});

describe("rows", () => {
  it("of an older page go behind, none twice", () => {
    expect(ids(addPage([job(3), job(2)], [job(2), job(1)]))).toBe("3 2 1");
    const many = Array.from({ length: ROWS_MAX + 5 }, (_, at) => job(at));
    expect(addPage([], many)).toHaveLength(ROWS_MAX);
  });
  it("end where all were read, or where no more are held", () => {
    expect([isCapped(3, 3, null), isCapped(ROWS_MAX, ROWS_MAX, null), isCapped(ROWS_MAX - 1, 1e6, "more")]).toEqual([false, false, false]);
    expect([isCapped(ROWS_MAX, 1e6, "more"), isCapped(ROWS_MAX, ROWS_MAX + 1, null), isCapped(ROWS_MAX, null, "more")]).toEqual([true, true, true]);
    expect(endWords(3, false)).toBe("3 shown: all there are.");
    expect(endWords(ROWS_MAX, true)).toBe("The newest 20,000 are shown. Narrow by time or text to see further back.");
  });
  it("of the newest page go in front and bring the known ones up to date", () => {
    const rows = addNewest([job(2, "pending"), job(1, "completed", 1)], [job(3), job(2, "running", 1), job(1, "running", 1)], false) ?? [];
    expect(ids(rows)).toBe("3 2 1");
    expect(rows.length - 2).toBe(1);
    expect(rows.map((row) => row.status)).toEqual(["pending", "running", "completed"]);
  });
  it("begin anew where a newest page does not reach the rows", () => {
    expect(addNewest([job(2), job(1)], [job(9), job(8)], true)).toBeNull();
    expect(ids(addNewest([job(2), job(1)], [job(9), job(8)], false) ?? [])).toBe("9 8 2 1");
    expect(ids(addNewest([job(2), job(1)], [job(3), job(2)], true) ?? [])).toBe("3 2 1");
    expect(ids(addNewest([], [job(9)], true) ?? [])).toBe("9");
  });
  it("follow events, and what is over stays over", () => {
    const { rows, unknown } = addEvents(
      [job(2), job(1, "completed", 1)],
      [event(2, "running", { attempt: 1, workerId: "w" }), event(2, "failed", { reason: "timeout", exitCode: 1 }), event(1, "running")],
      {},
    );
    expect(rows[0]).toMatchObject({ status: "failed", workerId: "w", attempt: 1, startedAt: 5000, completedAt: 5000, reason: "timeout" });
    expect(rows[1]?.status).toBe("completed");
    expect(unknown).toBe(false);
    const unknownBy = (status: JobState, filter: JobFilter): boolean => addEvents([job(1)], [event(9, status)], filter).unknown;
    expect(unknownBy("pending", {})).toBe(true);
    expect(unknownBy("running", {})).toBe(false);
    expect(unknownBy("running", { state: "running" })).toBe(true);
    expect(unknownBy("failed", { state: "failed" })).toBe(true);
    expect(unknownBy("pending", { state: "failed" })).toBe(false);
    expect(unknownBy("running", { worker: "w" })).toBe(true);
  });
  it("are selected as ranges in both directions", () => {
    const rows = [job(4), job(3), job(2), job(1)];
    expect(idsBetween(rows, 3, 1)).toEqual(["job-3", "job-2", "job-1"]);
    expect(idsBetween(rows, 0, 0)).toEqual(["job-4"]);
  });
});

describe("doing something to many", () => {
  it("is bounded, goes through all, and tells what failed", async () => {
    let now = 0;
    let most = 0;
    const done: number[] = [];
    const failures = await each(
      Array.from({ length: 20 }, (_, at) => `job-${at}`),
      6,
      async (id) => {
        most = Math.max(most, ++now);
        await Promise.resolve();
        now--;
        if (id === "job-7") throw new Error("no");
      },
      (count) => done.push(count),
    );
    expect(most).toBeLessThanOrEqual(6);
    expect(done).toHaveLength(20);
    expect([...failures]).toEqual([["job-7", "no"]]);
    expect((await each([], 6, () => Promise.resolve(), () => undefined)).size).toBe(0);
  });
});
