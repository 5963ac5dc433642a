import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { history } from "../src/lib/history";
import { change, draft, emptyDraft } from "../src/pages/run/draft";
import Run from "../src/pages/run/run";
import { chooseZip, clearSource, plainName, sizeProblem, source, takeDrop, takeJobFile, uploadMax } from "../src/pages/run/source";
import { keyFor, refusal } from "../src/pages/run/submit";

type Answer = { status?: number; body?: unknown } | "cut";
let calls: { method: string; path: string; query: URLSearchParams; body: unknown }[] = [];
let answers: Record<string, (call: (typeof calls)[number]) => Answer> = {};

const job = { jobId: "job-1", status: "failed", command: "make\nmake test", fileUrl: "/uploads/abc", filename: "demo.zip", timeoutMs: 90_000, env: { A: "1" } };

beforeEach(() => {
  calls = [];
  answers = {
    "/api/info": () => ({ body: { version: "1", totalWorkers: 1, gateway: { version: "1", uploadMax: 1000, machine: "boot-1" } } }),
    "/api/jobs/create": () => ({ body: { jobId: "job-1795645928100-000vjoh9e" } }),
    "/api/jobs/status": () => ({ body: job }),
    "/uploads/abc": () => ({}),
  };
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    const at = new URL(url);
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : init.body;
    const call = { method: init.method ?? "GET", path: at.pathname, query: at.searchParams, body };
    calls.push(call);
    const answer = answers[at.pathname]?.(call) ?? { status: 404, body: { error: "There is nothing at this path.", code: "NO_SUCH_PATH" } };
    if (answer === "cut") return Promise.reject(new TypeError("Failed to fetch"));
    return Promise.resolve(new Response(init.method === "HEAD" ? null : JSON.stringify(answer.body ?? {}), { status: answer.status ?? 200 }));
  });
  Element.prototype.scrollIntoView = () => undefined;
  location.hash = "#/run";
  draft.value = emptyDraft;
  history.value = [];
  refusal.value = null;
  uploadMax.value = null;
  clearSource();
});
afterEach(cleanup);

const command = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Commands" });
const press = () => fireEvent.click(screen.getByRole("button", { name: "Run" }));
const created = () => calls.filter((call) => call.path === "/api/jobs/create");
const file = { jobId: "job-0", filename: "demo.zip", fileUrl: "/uploads/abc" };

describe("the Run page", () => {
  it("says what is missing, in place, and sends nothing", async () => {
    render(<Run />);
    press();
    await screen.findByText(/Choose a ZIP or a folder first/);
    expect(screen.getByText("Write at least one command.")).toBeTruthy();
    expect(command().getAttribute("aria-invalid")).toBe("true");
    await waitFor(() => expect(document.activeElement?.id).toBe("run-source"));
    expect(created()).toHaveLength(0);
  });
  it("keeps what is typed", () => {
    render(<Run />);
    fireEvent.input(command(), { target: { value: "make" } });
    expect(JSON.parse(sessionStorage.getItem("gleaner.run.draft") ?? "{}")).toMatchObject({ command: "make" });
  });
  it("opens the options where one of them is wrong", async () => {
    takeJobFile(file);
    change({ command: "make", env: "A" });
    render(<Run />);
    press();
    await screen.findByText("Line 1: there is no =. Write KEY=VALUE.");
    expect(document.querySelector("details")?.open).toBe(true);
    await waitFor(() => expect(document.activeElement?.id).toBe("run-env"));
  });
  it("runs by Ctrl Enter with the file of an earlier job, and opens the job", async () => {
    takeJobFile(file);
    change({ command: "make", name: "n" });
    render(<Run />);
    fireEvent.keyDown(command(), { key: "Enter", ctrlKey: true });
    await waitFor(() => expect(location.hash).toBe("#/jobs/job-1795645928100-000vjoh9e"));
    expect(created()[0]?.body).toMatchObject({ command: "make", name: "n", fileUrl: "/uploads/abc", filename: "demo.zip" });
    expect((created()[0]?.body as { idempotencyKey: string }).idempotencyKey).toMatch(/^[0-9a-f]{32}$/);
    expect(history.value[0]?.command).toBe("make");
  });
  it("runs with what was laid over that file, too", async () => {
    takeJobFile({ ...file, deltaUrl: "/uploads/def" });
    change({ command: "make" });
    render(<Run />);
    fireEvent.keyDown(command(), { key: "Enter", ctrlKey: true });
    await waitFor(() => expect(created()[0]?.body).toMatchObject({ fileUrl: "/uploads/abc", deltaUrl: "/uploads/def" }));
  });
  it("sends a job whose answer was lost again with the same key", async () => {
    takeJobFile(file);
    change({ command: "make" });
    let lost = true;
    answers["/api/jobs/create"] = () => {
      if (!lost) return { body: { jobId: "job-1795645928100-000vjoh9e" } };
      lost = false;
      return "cut";
    };
    render(<Run />);
    press();
    await screen.findByText("Waiting for the connection…");
    fireEvent.click(screen.getByRole("button", { name: "Retry now" }));
    await waitFor(() => expect(location.hash).toMatch(/^#\/jobs\//));
    const keys = created().map((call) => (call.body as { idempotencyKey: string }).idempotencyKey);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });
  it("shows a refusal at its field until that is changed", async () => {
    takeJobFile(file);
    change({ command: "make", labels: "a=b" });
    answers["/api/jobs/create"] = () => ({ status: 400, body: { error: "`labels` is odd.", code: "SCHEMA", field: "labels" } });
    render(<Run />);
    press();
    await screen.findByText("`labels` is odd.");
    fireEvent.input(screen.getByLabelText("Labels of the job"), { target: { value: "a=c" } });
    await waitFor(() => expect(screen.queryByText("`labels` is odd.")).toBeNull());
  });
  it("shows any other refusal with what to do", async () => {
    takeJobFile(file);
    change({ command: "make" });
    answers["/api/jobs/create"] = () => ({ status: 507, body: { error: "The broker's disk is full.", code: "DISK_FULL" } });
    render(<Run />);
    press();
    await screen.findByText("The broker's disk is full. Make room on its disk, then press Run again.");
    expect(screen.getByRole("alert").textContent).toContain("The server refused it");
  });
  it("ties a direct job to the gateway's computer, or says that it cannot", async () => {
    takeJobFile(file);
    change({ command: "make", mode: "direct" });
    render(<Run />);
    press();
    await waitFor(() => expect(location.hash).toMatch(/^#\/jobs\//));
    expect(created()[0]?.body).toMatchObject({ machine: "boot-1" });
    cleanup();
    location.hash = "#/run";
    answers["/api/info"] = () => ({ body: { version: "1", totalWorkers: 1 } });
    render(<Run />);
    press();
    await screen.findByText(/does not tell which computer it is on/);
    expect(created()).toHaveLength(1);
  });
});

describe("run again with changes", () => {
  const open = async () => {
    location.hash = "#/run?from=job-1";
    await new Promise((resolve) => setTimeout(resolve, 0)); // hashchange
    render(<Run />);
  };
  it("fills the page and reuses the file", async () => {
    change({ command: "typed before" });
    await open();
    await screen.findByText(/^Filled from an earlier job/);
    expect(command().value).toBe("make\nmake test");
    expect(screen.getByLabelText<HTMLInputElement>("Timeout").value).toBe("1 min 30 s");
    expect(screen.getByLabelText<HTMLTextAreaElement>("Environment").value).toBe("A=1");
    expect(source.value).toMatchObject({ kind: "job", filename: "demo.zip", fileUrl: "/uploads/abc" });
    expect(location.hash).toBe("#/run");
    expect(history.value[0]?.command).toBe("typed before");
  });
  it("says when the file is not kept any more", async () => {
    delete answers["/uploads/abc"];
    await open();
    await screen.findByText("Its file is not kept any more: choose it again.");
    expect(source.value.kind).toBe("none");
    expect(command().value).toBe("make\nmake test");
  });
  it("says when there is no such job, and can be left", async () => {
    answers["/api/jobs/status"] = () => ({ status: 404, body: { error: "There is no job with this id.", code: "NO_SUCH_JOB" } });
    change({ command: "typed before" });
    await open();
    await screen.findByText("There is no job with this id.");
    expect(command().value).toBe("typed before");
    fireEvent.click(screen.getByRole("button", { name: "Leave it" }));
    await waitFor(() => expect(screen.queryByText("There is no job with this id.")).toBeNull());
  });
});

describe("the source", () => {
  it("is looked at once more before it is sent: the file may have changed", async () => {
    const blob = new File(["PK"], "a.zip");
    blob.slice = () => ({ arrayBuffer: () => Promise.reject(new DOMException("changed", "NotReadableError")) }) as unknown as Blob;
    source.value = { kind: "ready", from: "zip", name: "a.zip", blob, listing: null, git: 0, withGit: false, at: 1, fileUrl: "/uploads/abc", sentAt: Date.now() };
    change({ command: "make" });
    render(<Run />);
    press();
    await screen.findByText(/changed, moved or removed after it was chosen/);
    expect(created()).toHaveLength(0);
    act(() => takeJobFile(file));
    await waitFor(() => expect(screen.queryByText(/changed, moved or removed/)).toBeNull());
  });
  it("names what is wrong with a file before anything is sent", async () => {
    uploadMax.value = 10;
    await chooseZip(new File(["x".repeat(20)], "a.zip"));
    expect(source.value).toMatchObject({ kind: "bad", problem: expect.stringMatching(/20 B; this gateway takes 10 B at most/) as string });
    await chooseZip(new File([], "a.zip"));
    expect(source.value).toMatchObject({ kind: "bad", problem: "a.zip is empty." });
  });
  it("takes one dropped file as a ZIP, several as a folder", async () => {
    const entry = { isFile: true, isDirectory: false, name: "a.zip" };
    await takeDrop({ items: [{ kind: "string" }, { kind: "file", webkitGetAsEntry: () => entry }], files: [new File([], "a.zip")] });
    expect(source.value).toMatchObject({ kind: "bad", name: "a.zip", folder: false });
    await takeDrop({ items: [{ kind: "string" }], files: [] });
    expect(source.value).toMatchObject({ name: "a.zip" });
  });
  it("gives names that the server takes", () => {
    expect(plainName("demo", ".zip")).toBe("demo.zip");
    expect(plainName("-a/b\\c\n.zip")).toBe("a_b_c_.zip");
    expect(plainName("..")).toBe("project");
    expect(plainName("")).toBe("project");
    expect(new TextEncoder().encode(plainName("ü".repeat(300), ".zip")).length).toBeLessThanOrEqual(255);
    expect(sizeProblem("a", 5, null)).toBeNull();
  });
});

it("keeps the key of a request that was never answered, for a while", () => {
  const last = { key: "k", request: "r", at: 1000 };
  expect(keyFor("r", last, 2000)).toBe("k");
  expect(keyFor("other", last, 2000)).not.toBe("k");
  expect(keyFor("r", last, 1000 + 11 * 60_000)).not.toBe("k");
  expect(keyFor("r", null, 0)).toMatch(/^[0-9a-f]{32}$/);
});
