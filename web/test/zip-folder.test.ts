// @vitest-environment node
import { describe, expect, it } from "vitest";
import { fromInput, isGit, open, plan, some, walk, type Entry, type Folder } from "../src/lib/zip-folder";

type Tree = { [name: string]: Tree | string | Error };

function entry(name: string, node: Tree | string | Error, batch = 2): Entry {
  if (typeof node === "string")
    return { isFile: true, isDirectory: false, name, file: (found: (file: File) => void) => found(new File([node], name)) } as Entry;
  return {
    isFile: false,
    isDirectory: true,
    name,
    createReader: () => {
      const rest = node instanceof Error ? [] : Object.entries(node);
      return {
        readEntries: (found: (entries: Entry[]) => void, failed: (error: unknown) => void) =>
          node instanceof Error ? failed(node) : found(rest.splice(0, batch).map(([child, below]) => entry(child, below))),
      };
    },
  } as Entry;
}

const never = new AbortController().signal;
const list = (name: string, tree: Tree) => walk([entry(name, tree)], () => undefined, never);
const folder = (paths: string[], more: Partial<Folder> = {}): Folder => ({
  name: "p",
  files: paths.map((path) => ({ path, open: () => Promise.resolve(new File(["x"], "x")) })),
  unreadable: [],
  cut: false,
  ...more,
});

describe("walk", () => {
  it("lists all, in batches, without the folder's own name", async () => {
    const found = await list("demo", { "c.txt": "1", a: { "x.c": "2", deep: { y: "3" } }, "b.txt": "4", ".git": { HEAD: "ref" } });
    expect(found.name).toBe("demo");
    expect(found.files.map((file) => file.path)).toEqual([".git/HEAD", "a/deep/y", "a/x.c", "b.txt", "c.txt"]);
    expect(await (await found.files[1]!.open()).text()).toBe("3");
  });
  it("puts several things side by side", async () => {
    const found = await walk([entry("a", { x: "1" }), entry("b.txt", "2")], () => undefined, never);
    expect(found.files.map((file) => file.path)).toEqual(["a/x", "b.txt"]);
  });
  it("notes folders that cannot be listed", async () => {
    const found = await list("demo", { a: new Error("no"), b: "1" });
    expect(found.unreadable).toEqual(["a/"]);
    expect(plan(found, false).problem).toMatch(/1 file or folder cannot be read: a\//);
  });
  it("gives up on too many, but does not lose files because of .git", async () => {
    const many = Object.fromEntries(Array.from({ length: 10_050 }, (_, at) => [`f${at}`, ""]));
    const cut = await list("demo", { node_modules: many, a: "1" });
    expect(cut.cut).toBe(true);
    expect(plan(cut, false).problem).toMatch(/more than 10,000 files.*Most of them are in node_modules\//);
    const git = await walk([entry("demo", { ".git": many, z: "1" })], () => undefined, never, 500);
    expect(plan(git, false).take.map((file) => file.path)).toEqual(["z"]);
  });
  it("stops", async () => {
    const stop = new AbortController();
    stop.abort();
    await expect(walk([entry("demo", { a: "1" })], () => undefined, stop.signal)).rejects.toThrow();
  });
});

it("reads what a folder input gives", () => {
  const file = (path: string) => Object.assign(new File(["x"], path.split("/").at(-1)!), { webkitRelativePath: path });
  const found = fromInput([file("demo/a"), file("demo/s/b")]);
  expect(found.name).toBe("demo");
  expect(found.files.map((one) => one.path)).toEqual(["a", "s/b"]);
});

describe("plan", () => {
  it("leaves .git out, at any depth, unless it is wanted", () => {
    const all = folder(["a", ".git/HEAD", "sub/.git/x", ".gitignore", "x.git/y"]);
    expect(plan(all, false).take.map((file) => file.path)).toEqual(["a", ".gitignore", "x.git/y"]);
    expect(plan(all, false).leftOut).toBe(2);
    expect(plan(all, true).take).toHaveLength(5);
    expect(isGit("a/.git")).toBe(true);
  });
  it("refuses what workers refuse", () => {
    expect(plan(folder([]), false).problem).toMatch(/is empty/);
    expect(plan(folder([".git/HEAD"]), false).problem).toMatch(/no files but those of .git/);
    expect(plan(folder(["a\\b"]), false).problem).toMatch(/backslash/);
    expect(plan(folder(["a\nb"]), false).problem).toMatch(/control/);
    expect(plan(folder(["A/x", "a/X"]), false).problem).toMatch(/letter case/);
    expect(plan(folder([Array(33).fill("d").join("/")]), false).problem).toMatch(/long or deep/);
    expect(plan(folder(["x".repeat(1025)]), false).problem).toMatch(/long or deep/);
    expect(plan(folder(["a"], { unreadable: [".git/objects/"] }), false).problem).toBeNull();
  });
});

it("opens what is taken, and names what does not open", async () => {
  const two = folder(["a", "b"]).files;
  expect((await open(two, never)).bytes).toBe(2);
  two[1]!.open = () => Promise.reject(new Error("no"));
  expect((await open(two, never)).problem).toMatch(/cannot be read: b/);
  const huge = { path: "h", open: () => Promise.resolve({ size: 2 ** 31 } as File) };
  expect((await open([huge], never)).problem).toMatch(/2.0 GiB; workers take 1.0 GiB/);
});

it("shortens lists of names", () => {
  expect(some(["a", "b"])).toBe("a, b");
  expect(some(["a", "b", "c", "d", "e"])).toBe("a, b, c and 2 more");
});
