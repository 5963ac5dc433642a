import { act, cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { GleanerEvent, Worker } from "../src/api/types";
import { stored } from "../src/lib/storage";
import Workers from "../src/pages/workers/workers";
import { pressKey } from "../src/ui/commands";
import { Questions } from "../src/ui/dialog";

interface Answer {
  status?: number;
  body?: unknown;
}
let answers: Record<string, () => Answer> = {};
let calls: { path: string; body: unknown }[] = [];
let sources: EventTarget[] = [];

class FakeSource extends EventTarget {
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;
  constructor() {
    super();
    sources.push(this);
  }
  close(): void {
    sources = sources.filter((source) => source !== this);
  }
}

const tell = (event: Partial<GleanerEvent> & { eventType: string }): void => {
  for (const source of sources) source.dispatchEvent(new MessageEvent(event.eventType, { data: JSON.stringify(event) }));
};

const base: Worker = { workerId: "w1", hostname: "lab-pc", status: "idle", runningJobs: 0, slots: 4, lastHeartbeat: Date.now(), registeredAt: 1 };
let workers: Worker[] = [];
const activity = (id: string, text: string) => ({ body: { stepMs: 900_000, until: Date.now(), workers: [{ workerId: id, activity: text }] } });

beforeEach(() => {
  calls = [];
  workers = [base];
  answers = { "/api/workers/list": () => ({ body: { workers } }), "/api/workers/activity": () => activity("w1", "9".repeat(48) + "0".repeat(48)) };
  vi.stubGlobal("EventSource", FakeSource);
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const path = new URL(url).pathname;
    calls.push({ path, body: typeof init.body === "string" ? JSON.parse(init.body) : null });
    const answer = answers[path]?.() ?? { status: 404, body: { error: "There is nothing at this path.", code: "NO_SUCH_PATH" } };
    return Promise.resolve(new Response(JSON.stringify(answer.body ?? {}), { status: answer.status ?? 200 }));
  });
  HTMLDialogElement.prototype.showModal = function () {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function () {
    this.open = false;
  };
  location.hash = "#/workers";
  dispatchEvent(new HashChangeEvent("hashchange"));
  stored("workers.view", "cards").value = "cards";
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});
// Effects that wait for a frame still need the window.
afterAll(() => new Promise((resolve) => setTimeout(resolve, 200)));

const pass = (ms: number) =>
  act(async () => {
    await vi.advanceTimersByTimeAsync(ms);
  });
const hosts = () => Array.from(document.querySelectorAll("h3"), (heading) => heading.textContent);
const rows = () => document.querySelectorAll("tbody tr").length;
const command = () => document.querySelector(".lend-command code")?.textContent;
const lists = () => calls.filter((call) => call.path === "/api/workers/list").length;

describe("the Workers page", () => {
  it("shows a worker's facts, and the share of a day", async () => {
    workers = [{ ...base, status: "busy", os: "Linux", cpuCount: 8, version: "1.2", runningJobs: 2, currentJobId: "job-1-abc", loadPercent: 130, memoryBytes: 4096, memoryFreeBytes: 1024, labels: { gpu: "yes" } }];
    render(<Workers />);
    expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Workers");
    await screen.findByText("lab-pc");
    for (const text of ["Linux · 8 cores", "1.2", "130 %", "3.0 of 4.0 KiB", "gpu=yes"]) expect(screen.getByText(text)).toBeTruthy();
    expect(screen.getByText(/2 of 4 used/).textContent).toContain("2 free");
    expect(screen.getByRole("link", { name: "abc" }).getAttribute("href")).toBe("#/jobs/job-1-abc");
    expect(await screen.findByRole("img", { name: "busy 50 % of the last 24 h" })).toBeTruthy();
  });

  it("opens the way to lend a PC when there is no worker, and leaves it open when one comes", async () => {
    workers = [];
    render(<Workers />);
    await screen.findByText("No worker yet.");
    expect(command()).toMatch(/^gleaner-worker --server http:\/\/localhost(:\d+)? --slots 2$/);
    fireEvent.input(screen.getByLabelText("Slots"), { target: { value: "3" } });
    fireEvent.input(screen.getByLabelText("Id (optional)"), { target: { value: "it's" } });
    fireEvent.input(screen.getByLabelText(/^This machine/), { target: { value: "lab" } });
    expect(command()).toMatch(/^gleaner-worker --server http:\/\/lab(:\d+)? --slots 3 --id 'it'\\''s'$/);
    expect(screen.getByText(/gleaner-gateway --listen 0\.0\.0\.0:/)).toBeTruthy();
    fireEvent.input(screen.getByLabelText("Slots"), { target: { value: "0" } });
    expect(command()).toBeUndefined();
    expect(screen.getByRole("alert").textContent).toContain("from 1 to 256");
    workers = [base];
    act(() => tell({ eventType: "worker", workerId: "w1", status: "online" }));
    await screen.findByText("lab-pc");
    fireEvent.click(screen.getByRole("button", { name: "Close: lend this PC" }));
    expect(screen.queryByRole("heading", { name: "Lend this PC" })).toBeNull();
  });

  it("keeps hostile names as text", async () => {
    workers = [{ ...base, hostname: "<img src=x>\u202eexe", labels: { "<b>": "<i>" }, workerId: "<script>" }];
    const { container } = render(<Workers />);
    await screen.findByText("<img src=x>\ufffdexe");
    expect(screen.getByText("<b>=<i>")).toBeTruthy();
    expect(container.querySelector("script, img:not([alt]), b, i")).toBeNull();
  });

  it("does with what older workers and gateways tell", async () => {
    delete answers["/api/workers/activity"];
    workers = [{ workerId: "w1", hostname: "old", status: "idle", runningJobs: 0, lastHeartbeat: 0, registeredAt: 1 }];
    render(<Workers />);
    await screen.findByText("old");
    expect(screen.getAllByText("not told").length).toBe(4);
    expect(screen.getByText("0 used of a number not told")).toBeTruthy();
    expect(await screen.findByText(/this gateway or its broker is older/)).toBeTruthy();
  });

  it("drains after a question, and resumes", async () => {
    answers["/api/workers/drain"] = () => {
      workers = [{ ...base, draining: true, runningJobs: 1 }];
      return {};
    };
    answers["/api/workers/resume"] = () => {
      workers = [base];
      return {};
    };
    render(<><Workers /><Questions /></>);
    fireEvent.click(await screen.findByRole("button", { name: "Drain lab-pc" }));
    const question = await screen.findByRole("dialog");
    expect(question.textContent).toContain("takes no new job");
    fireEvent.click(within(question).getByRole("button", { name: "Leave it" }));
    await act(() => Promise.resolve());
    expect(calls.some((call) => call.path.endsWith("drain"))).toBe(false);
    fireEvent.click(screen.getByRole("button", { name: "Drain lab-pc" }));
    fireEvent.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Drain" }));
    const resume = await screen.findByRole("button", { name: "Resume lab-pc" });
    expect(screen.getByText(/1 job still goes on/)).toBeTruthy();
    await waitFor(() => expect(resume).toHaveProperty("disabled", false));
    fireEvent.click(resume);
    await screen.findByRole("button", { name: "Drain lab-pc" });
    expect(calls.filter((call) => call.body).map((call) => call.body)).toEqual([{ workerId: "w1" }, { workerId: "w1" }]);
  });

  it("filters by chips and by text, which stand in the address, and `/` goes to the filter", async () => {
    workers = [base, { ...base, workerId: "w2", hostname: "gone", status: "offline" }, { ...base, workerId: "w3", hostname: "full", status: "busy", runningJobs: 4 }];
    render(<Workers />);
    await screen.findByText("lab-pc");
    expect(hosts()).toEqual(["lab-pc", "full", "gone"]);
    fireEvent.click(screen.getByRole("button", { name: "1 Offline" }));
    expect(hosts()).toEqual(["gone"]);
    expect(location.hash).toBe("#/workers?state=offline");
    fireEvent.click(screen.getByRole("button", { name: "4 Free slots" }));
    expect(hosts()).toEqual(["lab-pc"]);
    const filter = screen.getByRole("searchbox");
    pressKey(new KeyboardEvent("keydown", { key: "/" }));
    expect(document.activeElement).toBe(filter);
    fireEvent.input(filter, { target: { value: "nobody" } });
    expect(screen.getByText("No worker is like that.")).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Show all" }));
    expect(hosts()).toHaveLength(3);
  });

  it("shows the first 60 of many, as cards or as a table", async () => {
    workers = Array.from({ length: 62 }, (_, at) => ({ ...base, workerId: `w${at}`, hostname: `pc-${at}` }));
    render(<Workers />);
    await waitFor(() => expect(hosts()).toHaveLength(60));
    expect(screen.getByText("60 of 62")).toBeTruthy();
    fireEvent.click(screen.getByText("Table"));
    expect(rows()).toBe(60);
    expect(localStorage.getItem("gleaner.workers.view")).toBe('"table"');
    fireEvent.click(screen.getByText("Show 2 more"));
    expect(rows()).toBe(62);
    expect(screen.queryByText(/^Show /)).toBeNull();
  }, 20_000);

  it("says what failed, and keeps the old list", async () => {
    const fine = answers["/api/workers/list"]!;
    answers["/api/workers/list"] = () => ({ status: 503, body: { error: "The broker cannot be reached.", code: "BROKER_AWAY" } });
    render(<Workers />);
    expect((await screen.findByRole("alert")).textContent).toContain("The broker cannot be reached. It is tried again by itself.");
    answers["/api/workers/list"] = fine;
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByText("lab-pc");
    answers["/api/workers/list"] = () => ({ status: 500, body: { error: "Something broke.", code: "X" } });
    act(() => tell({ eventType: "worker", workerId: "w1", status: "online" }));
    expect((await screen.findByText(/Something broke/)).textContent).toContain("As it was");
    expect(screen.getByText("lab-pc")).toBeTruthy();
  });

  it("asks at most twice a second, however much happens", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    render(<Workers />);
    await pass(600);
    const before = lists();
    for (let at = 0; at < 200; at++) {
      tell({ eventType: "job", jobId: "j", status: "running" });
      await pass(10);
    }
    expect(lists() - before).toBeGreaterThanOrEqual(3);
    expect(lists() - before).toBeLessThanOrEqual(5);
    const quiet = lists();
    tell({ eventType: "output", jobId: "j" });
    await pass(1000);
    expect(lists() - quiet).toBeLessThanOrEqual(1);
  });
});
