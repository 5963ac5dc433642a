import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { drainWorker, getInfo } from "../src/api/calls";
import { asking, isNobody, loggedIn, login, may, readWho, signOut, who, type Who } from "../src/api/session";
import { LoginPage } from "../src/ui/login";

const nobody: Who = { required: true, role: "none", name: null, key: null, calls: ["GET /api/session", "POST /api/session"] };
const viewer: Who = { required: true, role: "viewer", name: "vera", key: "k1", calls: ["GET /api/jobs", "GET /api/info"] };
const admin: Who = {
  required: true, role: "admin", name: "ada", key: "k2",
  calls: ["POST /api/jobs/create", "POST /api/blobs/put", "POST /api/blobs/commit", "POST /api/jobs/cancel", "POST /api/workers/drain", "POST /api/workers/resume"],
};

type Call = { method: string; path: string; key: string | null };

/** A gateway of one login: who is in, and which calls came. */
function gateway(first: Who) {
  const self = { now: first, stale: false, calls: [] as Call[], tokens: { good: viewer, root: admin } as Record<string, Who>, limited: false };
  const json = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });
  vi.stubGlobal("fetch", (address: string, init: RequestInit) => {
    const path = new URL(address).pathname.replace(/^\//, "");
    const call = { method: init.method ?? "GET", path, key: new Headers(init.headers).get("X-Gleaner-Key") };
    self.calls.push(call);
    if (path === "api/session" && call.method === "POST") {
      if (self.limited) return Promise.resolve(json(429, { error: "Too many tokens.", code: "RATE_LIMITED" }));
      const found = self.tokens[(JSON.parse(init.body as string) as { token: string }).token];
      if (found) self.now = found;
      return Promise.resolve(found ? json(200, found) : json(401, { error: "This token does not count.", code: "UNAUTHORIZED" }));
    }
    if (path === "api/session" && call.method === "DELETE") self.now = nobody;
    if (path === "api/session") return Promise.resolve(json(200, self.now));
    if (isNobody(self.now)) return Promise.resolve(json(401, { error: "A token is needed.", code: "UNAUTHORIZED" }));
    if (call.method !== "GET" && call.key !== self.now.key) return Promise.resolve(json(403, { error: "The key.", code: "NO_PAGE_KEY" }));
    return Promise.resolve(json(200, { path }));
  });
  return self;
}

const count = (server: ReturnType<typeof gateway>, path: string): number => server.calls.filter((call) => call.path === path).length;

beforeEach(() => {
  who.value = null;
  asking.value = false;
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

describe("what may be done", () => {
  it("is what the server says", () => {
    who.value = viewer;
    expect([may("submit"), may("cancel"), may("drain")]).toEqual([false, false, false]);
    who.value = admin;
    expect([may("submit"), may("cancel"), may("drain")]).toEqual([true, true, true]);
  });
  it("is everything while that is not known", () => {
    expect(may("drain")).toBe(true);
  });
});

describe("a call without a login", () => {
  it("waits for one, and goes on by itself", async () => {
    const server = gateway(viewer);
    await readWho();
    server.now = nobody; // it has run out
    const call = getInfo();
    await waitFor(() => expect(asking.value).toBe(true));
    expect(may("cancel")).toBe(false); // as before
    const later = getInfo();
    await Promise.resolve();
    expect(count(server, "api/info")).toBe(1); // nothing more is asked for in vain
    await login("good");
    await expect(call).resolves.toEqual({ path: "api/info" });
    await expect(later).resolves.toEqual({ path: "api/info" });
    expect(asking.value).toBe(false);
  });
  it("does not go on in somebody else's name", async () => {
    const server = gateway(viewer);
    await readWho();
    server.now = nobody;
    const call = expect(drainWorker("w")).rejects.toMatchObject({ status: 401 });
    await waitFor(() => expect(asking.value).toBe(true));
    const later = expect(getInfo()).rejects.toMatchObject({ status: 401 });
    await login("root");
    await call;
    await later;
    expect(count(server, "api/workers/drain")).toBe(1);
    expect(who.value?.name).toBe("ada");
  });
  it("can be given up", async () => {
    gateway(nobody);
    const abort = new AbortController();
    const call = expect(getInfo({ signal: abort.signal })).rejects.toThrow("enough");
    await waitFor(() => expect(asking.value).toBe(true));
    abort.abort(new Error("enough"));
    await call;
    await expect(loggedIn(abort.signal)).rejects.toThrow("enough");
  });
});

describe("the key", () => {
  it("goes with what changes something, and with nothing else", async () => {
    const server = gateway(admin);
    await readWho();
    await getInfo();
    await drainWorker("w");
    expect(server.calls.map((call) => call.key)).toEqual([null, null, "k2"]);
  });
  it("is asked for again, once, when another tab has logged in", async () => {
    const server = gateway(admin);
    await readWho();
    server.now = { ...admin, key: "k3" };
    await drainWorker("w");
    expect(server.calls.map((call) => call.key)).toEqual([null, "k2", null, "k3"]);
    server.now = { ...viewer, key: "k4" };
    await expect(drainWorker("w")).rejects.toMatchObject({ code: "NO_PAGE_KEY" }); // by now that is somebody else
  });
});

describe("the login", () => {
  it("says in the server's words what is wrong, and keeps the focus", async () => {
    const server = gateway(nobody);
    await readWho();
    render(<LoginPage />);
    const field = screen.getByLabelText<HTMLInputElement>("Token");
    expect(field.type).toBe("password");
    expect(document.activeElement).toBe(field);
    const press = (): unknown => fireEvent.submit(field.form as HTMLFormElement);
    press();
    await waitFor(() => expect(screen.getByRole("alert").textContent).toBe("Paste the token first."));
    fireEvent.input(field, { target: { value: "bad" } });
    press();
    await waitFor(() => expect(screen.getByRole("alert").textContent).toBe("This token does not count."));
    expect([asking.value, field.getAttribute("aria-invalid"), document.activeElement === field]).toEqual([true, "true", true]);
    server.limited = true;
    press();
    await waitFor(() => expect(screen.getByRole("alert").textContent).toBe("Too many tokens."));
    server.limited = false;
    fireEvent.input(field, { target: { value: " root\n" } });
    press();
    await waitFor(() => expect(asking.value).toBe(false));
    expect(who.value?.role).toBe("admin");
  });
  it("says when the browser keeps no cookie", async () => {
    const server = gateway(nobody);
    await readWho();
    server.tokens.lost = nobody;
    await expect(login("lost")).rejects.toThrow("allow cookies");
  });
  it("ends with signing out, and what waits is dropped", async () => {
    const server = gateway(admin);
    await readWho();
    await signOut();
    expect([isNobody(who.value), asking.value, server.calls.at(-1)]).toEqual([true, true, { method: "DELETE", path: "api/session", key: "k2" }]);
  });
});
