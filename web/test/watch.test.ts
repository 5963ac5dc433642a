import { afterEach, describe, expect, it, vi } from "vitest";

const toasted = vi.fn<(text: string) => void>();
const shown = vi.fn<(title: string) => void>();
// eslint-disable-next-line @typescript-eslint/no-extraneous-class -- it stands for the browser's own
class Note {
  static permission = "granted";
  static requestPermission = () => Promise.resolve("granted");
  constructor(title: string) {
    shown(title);
  }
}
vi.stubGlobal("Notification", Note);
vi.stubGlobal("EventSource", class extends EventTarget { close = () => undefined; });
const { showTab, startWatching, tabTitle, watch, watched } = await import("../src/lib/watch");

const answer = (status: number, body: object): void => {
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify(body), { status })));
};

afterEach(() => {
  watched.value = [];
  location.hash = "";
  shown.mockClear();
  toasted.mockClear();
  Note.permission = "granted";
});

describe("a watched job", () => {
  startWatching(toasted);
  it("that ended is told of once, and watched no more", async () => {
    answer(200, { jobId: "job-1", status: "failed", reason: "timeout", name: "long" });
    await watch("job-1");
    await vi.waitFor(() => expect(watched.value).toEqual([]));
    expect(shown.mock.calls).toEqual([["long failed: took too long"]]);
    expect(toasted).not.toHaveBeenCalled();
  });
  it("that is looked at needs no telling", async () => {
    location.hash = "#/jobs/job-2";
    dispatchEvent(new HashChangeEvent("hashchange"));
    answer(200, { jobId: "job-2", status: "completed" });
    await watch("job-2");
    await vi.waitFor(() => expect(watched.value).toEqual([]));
    expect(shown).not.toHaveBeenCalled();
  });
  it("is told of in the page where the browser does not, with a mark on the tab until it is looked at", async () => {
    Note.permission = "denied";
    vi.spyOn(document, "hasFocus").mockReturnValue(false);
    showTab("Jobs", "idle");
    answer(200, { jobId: "job-5", status: "completed", name: "long" });
    await watch("job-5");
    await vi.waitFor(() => expect(toasted.mock.calls).toEqual([["long completed."]]));
    expect(shown).not.toHaveBeenCalled();
    showTab("Workers", "idle");
    expect(document.title).toBe("● Workers · Gleaner");
    dispatchEvent(new Event("focus"));
    expect(document.title).toBe("Workers · Gleaner");
  });
  it("that is no longer known is watched no more", async () => {
    answer(404, { error: "There is no such job." });
    await watch("job-3");
    await vi.waitFor(() => expect(watched.value).toEqual([]));
    expect(shown).not.toHaveBeenCalled();
  });
  it("that still runs stays watched", async () => {
    answer(200, { jobId: "job-4", status: "running" });
    await watch("job-4");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(watched.value).toEqual(["job-4"]);
  });
});

describe("the title of a tab", () => {
  it("tells first how a job stands", () => {
    const titles = (["pending", "running", "completed", "failed", "offline"] as const).map((state) => tabTitle("build", state));
    expect(titles).toEqual(["… waiting · build · Gleaner", "▶ running · build · Gleaner", "✓ completed · build · Gleaner", "✗ failed · build · Gleaner", "⚠ away · build · Gleaner"]);
    expect(tabTitle("build", "failed", "cancelled")).toBe("✗ cancelled · build · Gleaner");
    expect(tabTitle("build", "failed", "timeout")).toBe("✗ failed · build · Gleaner");
  });
  it("is the page's where nothing stands", () => {
    expect([tabTitle("Jobs", "idle"), tabTitle("", "idle")]).toEqual(["Jobs · Gleaner", "Gleaner"]);
  });
});
