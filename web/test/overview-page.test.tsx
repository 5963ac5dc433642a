import { cleanup, render, screen } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import Overview from "../src/pages/overview/overview";

vi.mock("../src/ui/chart-plot", () => ({ openPlot: () => ({ show: () => undefined, resize: () => undefined, close: () => undefined }) }));

let answers: Record<string, { status?: number; body: unknown } | "never">;
const info = { version: "1.4.0", pendingJobs: 3, runningJobs: 1, totalJobs: 9, totalWorkers: 2, uptimeMs: 60_000, refusedFrames: 0 };
const stats = {
  range: "hour", stepMs: 60_000, completed: 9, failed: 1, created: 10, waitP50: 180, waitP95: 2000,
  points: [{ time: 1_795_645_920_000, pending: 3, running: 1, busySlots: 1, slots: 4, completed: 9, failed: 1 }],
  reasons: [{ reason: "timeout", count: 1 }],
};

beforeEach(() => {
  answers = {
    "/api/info": { body: info },
    "/api/stats": { body: stats },
    "/api/workers/list": { body: { workers: [{ workerId: "w", hostname: "h", status: "busy", slots: 4, runningJobs: 1, lastHeartbeat: 0, registeredAt: 0 }] } },
  };
  vi.stubGlobal("ResizeObserver", class { observe = () => undefined; disconnect = () => undefined; });
  vi.stubGlobal("fetch", (url: string) => {
    const answer = answers[new URL(url).pathname] ?? { status: 404, body: { error: "There is nothing at this path.", code: "NO_SUCH_PATH" } };
    if (answer === "never") return new Promise(() => undefined);
    return Promise.resolve(new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 }));
  });
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

describe("the overview", () => {
  it("shows figures, charts with words, and reasons", async () => {
    render(<Overview />);
    expect(await screen.findByText("1 of 4 slots busy")).toBeTruthy();
    expect(await screen.findByText("10 %")).toBeTruthy();
    expect(screen.getByRole("img", { name: /^Jobs ended\. Completed: from 9 to 9.*Failed: from 1 to 1/ })).toBeTruthy();
    expect(screen.getByText("No job ended in this range.")).toBeTruthy();
    expect(screen.getByRole("link", { name: /took too long/ }).getAttribute("href")).toBe("#/jobs?state=failed");
  });

  it("says what is missing of an older broker", async () => {
    delete answers["/api/stats"];
    render(<Overview />);
    expect(await screen.findByText("This broker keeps no statistics.")).toBeTruthy();
    expect(await screen.findByText(/does not say how full/)).toBeTruthy();
    expect(await screen.findByText(/does not keep a list of its gateways/)).toBeTruthy();
  });

  it("says that there is nothing yet", async () => {
    answers["/api/stats"] = { body: { ...stats, points: [], reasons: [], completed: 0, failed: 0 } };
    render(<Overview />);
    expect(await screen.findByText("No figures yet.")).toBeTruthy();
  });

  it("says one word when nothing answers, and shows that it waits", async () => {
    const away = { status: 503, body: { error: "The broker cannot be reached.", code: "BROKER_AWAY" } };
    answers = { "/api/info": away, "/api/stats": away, "/api/workers/list": away };
    render(<Overview />);
    expect(await screen.findByText(/will be here when there are answers again/)).toBeTruthy();
    expect(screen.getAllByText("The broker cannot be reached.")).toHaveLength(1);
    cleanup();
    answers = { "/api/info": "never", "/api/stats": "never", "/api/workers/list": "never" };
    render(<Overview />);
    expect(screen.getAllByRole("status", { name: "Loading" }).length).toBeGreaterThan(0);
  });

  it("warns of a full disk", async () => {
    answers["/api/info"] = { body: { ...info, diskFull: true, diskBytes: 100, diskFreeBytes: 0, gateways: [] } };
    render(<Overview />);
    expect((await screen.findByRole("alert")).textContent).toContain("The disk of the data directory is full");
    expect(screen.getByRole("meter").getAttribute("aria-valuetext")).toBe("100 % used");
    expect(screen.getByText(/No gateway has said hello/)).toBeTruthy();
  });
});
