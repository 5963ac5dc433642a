// @vitest-environment node
import { unzipSync, zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { checkZip, findEnd, hasZipHead, onlyFolder, readDirectory, summary } from "../src/lib/zip";
import { levelFor, looksRunnable, pack } from "../src/lib/zip-pack";
import { UnreadableError } from "../src/lib/zip-folder";

const text = (value: string) => new TextEncoder().encode(value);
const blob = (...parts: (Uint8Array | string)[]) => new Blob(parts as BlobPart[]);
const sample = zipSync({ "demo/a.txt": text("hello"), "demo/src/b.c": text("x".repeat(100)) });

describe("checkZip", () => {
  it("lists a ZIP", async () => {
    const { problem, listing } = await checkZip(blob(sample), "a.zip");
    expect(problem).toBeNull();
    expect(listing).toEqual({ files: 2, bytes: 105, top: ["demo/"] });
    expect(onlyFolder(listing!)).toBe("demo");
  });
  it("takes an empty ZIP, and one with a comment", async () => {
    expect((await checkZip(blob(zipSync({})), "a.zip")).listing).toEqual({ files: 0, bytes: 0, top: [] });
    const commented = Uint8Array.from([...sample, ...text("PK!")]);
    commented[sample.length - 2] = 3;
    expect((await checkZip(blob(commented), "a.zip")).problem).toBeNull();
  });
  it("refuses what is none", async () => {
    const problem = async (content: Blob) => (await checkZip(content, "x.zip")).problem;
    expect(await problem(blob())).toBe("x.zip is empty.");
    expect(await problem(blob("hello"))).toMatch(/not a ZIP/);
    expect(await problem(blob("P"))).toMatch(/not a ZIP/);
    expect(await problem(blob(sample.subarray(0, sample.length - 5)))).toMatch(/cut off/);
    expect(await problem(blob(sample, "tail"))).toMatch(/cut off/);
  });
  it("refuses what workers refuse", async () => {
    const many = zipSync(Object.fromEntries(Array.from({ length: 10_001 }, (_, at) => [`f${at}`, new Uint8Array(0)])), { level: 0 });
    expect((await checkZip(blob(many), "x.zip")).problem).toMatch(/10,001 entries/);
    const locked = sample.slice();
    const directory = findEnd(locked)!.offset;
    locked[directory + 8]! |= 1;
    expect((await checkZip(blob(locked), "x.zip")).problem).toMatch(/encrypted/);
    const bomb = sample.slice();
    new DataView(bomb.buffer).setUint32(directory + 24, 0x7fffffff, true);
    expect((await checkZip(blob(bomb), "x.zip")).problem).toMatch(/2.0 GiB when unpacked/);
  });
  it("does without a listing where the directory is odd", async () => {
    const odd = sample.slice();
    new DataView(odd.buffer).setUint32(findEnd(odd)!.offset + 24, 0xffffffff, true);
    expect(await checkZip(blob(odd), "x.zip")).toEqual({ problem: null, listing: null });
    const broken = sample.slice();
    broken[findEnd(broken)!.offset] = 0;
    expect(await checkZip(blob(broken), "x.zip")).toEqual({ problem: null, listing: null });
  });
  it("survives any bytes", () => {
    let seed = 7;
    const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) >> 8;
    for (let round = 0; round < 2000; round++) {
      const bytes = sample.slice();
      for (let at = 0; at < 4; at++) bytes[random() % bytes.length] = random() & 255;
      const end = findEnd(bytes);
      if (end) readDirectory(bytes.subarray(Math.min(end.offset, bytes.length)), Math.min(end.entries, 100));
      hasZipHead(bytes);
    }
  });
});

it("sums up with folders first", () => {
  expect(summary([{ name: "z", size: 1 }, { name: "b/", size: 0 }, { name: "b/x", size: 2 }, { name: "a/x", size: 3 }])).toEqual({ files: 3, bytes: 6, top: ["a/", "b/", "z"] });
  expect(onlyFolder({ files: 1, bytes: 1, top: ["a"] })).toBe("");
});

describe("pack", () => {
  const packed = async (items: { path: string; file: Blob }[], seen: number[] = []) => {
    const parts: Uint8Array[] = [];
    await pack(items, (data) => parts.push(data.slice()), (progress) => seen.push(progress.bytes));
    return new Uint8Array(await blob(...parts).arrayBuffer());
  };
  it("makes a ZIP that holds the files", async () => {
    const big = "line\n".repeat(100_000);
    const seen: number[] = [];
    const zip = await packed([{ path: "a/ü.txt", file: blob(big) }, { path: "empty", file: blob() }, { path: "p.png", file: blob("png") }], seen);
    const files = unzipSync(zip);
    expect(Object.keys(files)).toEqual(["a/ü.txt", "empty", "p.png"]);
    expect(new TextDecoder().decode(files["a/ü.txt"])).toBe(big);
    expect(files.empty).toHaveLength(0);
    expect(zip.length).toBeLessThan(20_000);
    expect(seen.at(-1)).toBe(500_003);
    expect((await checkZip(blob(zip), "x.zip")).listing).toEqual({ files: 3, bytes: 500_003, top: ["a/", "empty", "p.png"] });
  });
  it("lets scripts and programs be run", async () => {
    const zip = await packed([{ path: "run.sh", file: blob("#!/bin/sh\n") }, { path: "a.txt", file: blob("a") }]);
    const view = new DataView(zip.buffer);
    const directory = findEnd(zip)!.offset;
    expect(view.getUint32(directory + 38, true) >>> 16).toBe(0o100755);
    const second = directory + 46 + view.getUint16(directory + 28, true) + view.getUint16(directory + 30, true);
    expect(view.getUint32(second + 38, true) >>> 16).toBe(0o100644);
    expect(looksRunnable(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46]))).toBe(true);
    expect(looksRunnable(new Uint8Array(0))).toBe(false);
  });
  it("only stores what is packed already", () => {
    const noise = Uint8Array.from({ length: 16_384 }, (_, at) => (Math.sin(at) * 1e7) & 255);
    expect(levelFor(noise)).toBe(0);
    expect(levelFor(noise.subarray(0, 100))).toBe(4);
    expect(levelFor(new Uint8Array(16_384))).toBe(4);
  });
  it("takes any time", async () => {
    const at = (lastModified: number) => ({ path: `t${lastModified}`, file: Object.assign(blob("x"), { lastModified }) });
    expect(Object.keys(unzipSync(await packed([at(0), at(4e12), at(Date.now())])))).toHaveLength(3);
  });
  it("names the file that cannot be read", async () => {
    const file = blob("x");
    file.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) as unknown as Blob;
    await expect(packed([{ path: "a/b", file }])).rejects.toEqual(new UnreadableError("a/b"));
    const later = blob("x");
    later.stream = () => new ReadableStream({ pull: (control) => control.error(new Error("gone")) });
    await expect(packed([{ path: "c", file: later }])).rejects.toThrow("c cannot be read");
  });
});
