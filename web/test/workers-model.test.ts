import { describe, expect, it } from "vitest";
import type { Worker } from "../src/api/types";
import { busyPercent, cellsOf, cellTimes, cellWords, countWorkers, filterWorkers, freeSlots, labelsOf, memoryOf, nameInText, plainText, sortWorkers, stateOf, stripPaths, stripWords, wantedOf } from "../src/pages/workers/model";
import { shellQuote } from "../src/lib/quote";
import { isLoopback, lendCommand, lendErrors, listenOption, serverAddress } from "../src/pages/workers/lend-command";

let number = 0;
const worker = (part: Partial<Worker> = {}): Worker => ({ workerId: `w${++number}`, hostname: "pc", status: "idle", runningJobs: 0, slots: 2, lastHeartbeat: 1, registeredAt: 1, ...part });
const idle = worker({ hostname: "pc-10", labels: { gpu: "yes" } });
const idle2 = worker({ hostname: "pc-2", os: "Linux" });
const busy = worker({ hostname: "a", status: "busy", runningJobs: 1 });
const full = worker({ hostname: "b", status: "busy", runningJobs: 3 });
const asleep = worker({ hostname: "a", asleepUntil: 5, draining: true });
const draining = worker({ hostname: "a", draining: true, status: "busy", runningJobs: 1 });
const offline = worker({ hostname: "a", status: "offline", asleepUntil: 5 });
const all = [offline, draining, asleep, full, busy, idle, idle2];

describe("states of workers", () => {
  it("has one word for each, the one that lasts longest", () => {
    expect(all.map(stateOf)).toEqual(["offline", "draining", "asleep", "busy", "busy", "idle", "idle"]);
  });
  it("sorts idle ones first, and by name as people count", () => {
    expect(sortWorkers(all)).toEqual([idle2, idle, busy, full, asleep, draining, offline]);
  });
  it("counts free slots only where a job would be taken", () => {
    expect(all.map(freeSlots)).toEqual([0, 0, 0, 0, 1, 2, 2]);
    expect(freeSlots(worker({ slots: null }))).toBeNull();
    expect(countWorkers(all)).toEqual({ all: 7, idle: 2, busy: 2, asleep: 1, draining: 1, offline: 1, free: 3, freeSlots: 5 });
  });
  it("filters by state, free slots, and words in any field", () => {
    expect(filterWorkers(all, "busy", "")).toEqual([full, busy]);
    expect(filterWorkers(all, "free", "")).toEqual([busy, idle, idle2]);
    expect(filterWorkers(all, "", "GPU=yes pc")).toEqual([idle]);
    expect(filterWorkers(all, "", " linux ")).toEqual([idle2]);
    expect(filterWorkers(all, "offline", "pc-2")).toEqual([]);
    expect([wantedOf("free"), wantedOf("asleep"), wantedOf("<b>"), wantedOf(null)]).toEqual(["free", "asleep", "", ""]);
  });
  it("makes what turns text around visible, and cuts names in sentences", () => {
    expect(plainText("a\u202egnp.exe\u0007")).toBe("a\ufffdgnp.exe\ufffd");
    expect(plainText("<b>שלום")).toBe("<b>שלום");
    expect(nameInText(worker({ hostname: "😀".repeat(100) }))).toBe(`${"😀".repeat(47)}…`);
    expect(nameInText(worker({ hostname: "", workerId: "lab" }))).toBe("lab");
  });
  it("puts labels that every worker has last", () => {
    expect(labelsOf(worker({ labels: { arch: "x", gpu: "yes", os: "linux", room: "a=b" } }))).toEqual(["gpu=yes", "room=a=b", "arch=x", "os=linux"]);
    expect(labelsOf(worker())).toEqual([]);
  });
  it("knows memory only where all of it is told", () => {
    expect(memoryOf(worker({ memoryBytes: 100, memoryFreeBytes: 25 }))).toEqual({ used: 75, total: 100, part: 0.75 });
    expect(memoryOf(worker({ memoryBytes: 100, memoryFreeBytes: 200 }))?.used).toBe(0);
    expect(memoryOf(worker({ memoryBytes: 100 }))).toBeNull();
    expect(memoryOf(worker())).toBeNull();
  });
});

const quarter = 900_000;

describe("the strip of a day", () => {
  it("has 96 cells whatever comes", () => {
    expect(cellsOf("19").slice(-3)).toEqual([-1, 1, 9]);
    expect(cellsOf("")).toHaveLength(96);
    expect(cellsOf(`x${"5".repeat(200)}`)).toEqual(Array(96).fill(5));
    expect(cellsOf("<é9").slice(-3)).toEqual([-1, -1, 9]);
  });
  it("tells the share of the time that the worker was there", () => {
    expect(busyPercent(cellsOf("9".repeat(96)))).toBe(100);
    expect(busyPercent(cellsOf("0".repeat(96)))).toBe(0);
    expect(busyPercent(cellsOf("90"))).toBe(50);
    expect(busyPercent(cellsOf("-"))).toBeNull();
    expect(stripWords(cellsOf("09".repeat(48)), quarter)).toBe("busy 50 % of the last 24 h");
    expect(stripWords(cellsOf("99990"), quarter)).toBe("busy 80 % of 1 h 15 min here");
    expect(stripWords(cellsOf(""), quarter)).toBe("nothing recorded in the last 24 h");
  });
  it("has words and times for a cell", () => {
    expect([-1, 0, 3, 9].map(cellWords)).toEqual(["not here", "idle, or nearly", "busy 30 to 40 %", "busy 90 % or more"]);
    expect(cellTimes(95, 1000 * quarter, quarter)).toEqual({ from: 999 * quarter, to: 1000 * quarter });
    expect(cellTimes(0, 1000 * quarter, quarter).from).toBe(904 * quarter);
  });
  it("draws nothing where nothing is known", () => {
    expect(stripPaths(cellsOf(""))).toEqual({ busy: "", idle: "" });
    expect(stripPaths(cellsOf("09"))).toEqual({ busy: "M95 20v-20h1v20z", idle: "M94 20v-2h1v2z" });
  });
});

const plain = { slots: "2", id: "", label: "", host: "" };

describe("the command that lends a PC", () => {
  it("quotes any text for a shell", () => {
    expect(shellQuote("lab-1_a=b,c")).toBe("lab-1_a=b,c");
    expect(shellQuote("")).toBe("''");
    expect(shellQuote("it's $(rm) `x` !1 \\")).toBe("'it'\\''s $(rm) `x` !1 \\'");
    expect(shellQuote("~")).toBe("'~'");
    expect(shellQuote("a\nb")).toBe("'a\nb'");
    expect(shellQuote("é")).toBe("'é'");
  });
  it("takes the page's address, with port and prefix", () => {
    expect(lendCommand("http://lab:3000/", plain)).toBe("gleaner-worker --server http://lab:3000 --slots 2");
    expect(lendCommand("https://lab.example/gleaner/index.html?x#/workers", plain)).toBe("gleaner-worker --server https://lab.example/gleaner --slots 2");
    expect(lendCommand("http://[::1]:3000/", plain)).toBe("gleaner-worker --server 'http://[::1]:3000' --slots 2");
    expect(serverAddress("http://localhost:3000/p/", "lab-server")).toBe("http://lab-server:3000/p");
    expect(serverAddress("http://localhost:3000/", "fe80::1")).toBe("http://[fe80::1]:3000");
    expect(serverAddress("http://localhost:3000/", "[fe80::1]")).toBe("http://[fe80::1]:3000");
  });
  it("says where the token is, where one is asked for", () => {
    expect(lendCommand("http://lab:3000/", plain, true)).toBe("gleaner-worker --server http://lab:3000 --slots 2 --token-file gleaner-token");
  });
  it("adds id and labels, also such as look like options", () => {
    expect(lendCommand("http://l/", { slots: " 08 ", id: " my pc ", label: "gpu=it's", host: "" })).toBe("gleaner-worker --server http://l --slots 8 --id 'my pc' --label 'gpu=it'\\''s'");
    expect(lendCommand("http://l/", { ...plain, id: "--once" })).toContain(" --id=--once");
    expect(lendCommand("http://l/", { ...plain, id: "-a b" })).toContain(" '--id=-a b'");
  });
  it("says what the worker would refuse", () => {
    expect(lendErrors(plain)).toEqual({});
    expect(lendErrors({ slots: "256", id: "é".repeat(64), label: "a=b, c=d=e", host: "192.168.1.2" })).toEqual({});
    expect(Object.keys(lendErrors({ slots: "0", id: "é".repeat(65), label: "a=b,c", host: "a b" }))).toEqual(["slots", "id", "label", "host"]);
    for (const slots of ["", "257", "-1", "1.5", "1e2", "two"]) expect(lendErrors({ ...plain, slots }).slots).toBeTruthy();
    for (const label of ["a", "=b", "a=", "a=b,a=c", "a=b,", "a=\u0007"]) expect(lendErrors({ ...plain, label }).label).toBeTruthy();
    expect(lendErrors({ ...plain, id: "a\u001bb" }).id).toBeTruthy();
    expect(lendErrors({ ...plain, host: "fe80::1" })).toEqual({});
    for (const host of ["a:80", "http://a", "a/b"]) expect(lendErrors({ ...plain, host }).host).toBeTruthy();
  });
  it("knows names that mean this machine", () => {
    expect(["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.1.2.3", "[::1]"].every(isLoopback)).toBe(true);
    expect(["lab", "localhost.example", "128.0.0.1", "127.example.org", "[::2]"].some(isLoopback)).toBe(false);
    expect(listenOption("http://localhost:3000/")).toBe("--listen 0.0.0.0:3000");
    expect(listenOption("https://localhost/")).toBe("--listen 0.0.0.0:443");
  });
});
