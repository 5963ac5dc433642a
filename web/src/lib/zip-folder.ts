// A folder as it was dropped or picked: its files by their path, what is left out, and why it cannot be taken.

import { bytes, count, plural } from "./format";
import { ENTRIES_MAX, UNPACKED_MAX } from "./zip";

const DEPTH_MAX = 32;
const PATH_MAX = 1024;
const SHOWN_MAX = 3;

/** A file that could not be read. */
export class UnreadableError extends Error {
  constructor(readonly path: string) {
    super(`${path} cannot be read.`);
    this.name = "UnreadableError";
  }
}

export interface FolderFile {
  path: string;
  /** Opened only when it is taken: there may be thousands below .git. */
  open: () => Promise<File>;
}

export interface Folder {
  name: string;
  files: FolderFile[];
  /** Folders that could not be listed. */
  unreadable: string[];
  /** True when reading it was given up because of its size. */
  cut: boolean;
}

/** The part of FileSystemEntry that is needed, so that tests can make their own. */
export interface Entry {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly name: string;
}
interface FileEntry extends Entry {
  file(found: (file: File) => void, failed: (error: unknown) => void): void;
}
interface DirectoryEntry extends Entry {
  createReader(): { readEntries(found: (entries: Entry[]) => void, failed: (error: unknown) => void): void };
}

/** True for what belongs to git's own folder, at any depth. */
export function isGit(path: string): boolean {
  return path.split("/").includes(".git");
}

async function children(folder: DirectoryEntry): Promise<Entry[]> {
  const reader = folder.createReader();
  const all: Entry[] = [];
  for (;;) {
    const some = await new Promise<Entry[]>((found, failed) => reader.readEntries(found, failed));
    if (some.length === 0) return all.sort((a, b) => (a.name < b.name ? -1 : 1));
    all.push(...some);
  }
}

/** Lists what was dropped. One folder gives its contents; several things stand side by side under their own names. */
export async function walk(
  roots: readonly Entry[],
  tell: (files: number) => void,
  signal: AbortSignal,
  gitMax = 10 * ENTRIES_MAX,
): Promise<Folder> {
  const [first] = roots;
  const single = roots.length === 1 && first?.isDirectory === true;
  const folder: Folder = { name: single ? first.name : "files", files: [], unreadable: [], cut: false };
  let taken = 0;
  const visit = async (entry: Entry, path: string): Promise<void> => {
    if (folder.cut || (isGit(path) && folder.files.length > gitMax)) return; // enough to know that it is too much
    if (entry.isFile) {
      folder.files.push({ path, open: () => new Promise((found, failed) => (entry as FileEntry).file(found, failed)) });
      if (!isGit(path)) taken++;
      folder.cut = taken > ENTRIES_MAX;
      return;
    }
    const list = await children(entry as DirectoryEntry).catch(() => null);
    signal.throwIfAborted();
    tell(folder.files.length);
    if (!list) folder.unreadable.push(path ? `${path}/` : entry.name);
    for (const child of list ?? []) await visit(child, path ? `${path}/${child.name}` : child.name);
  };
  for (const root of roots) await visit(root, single ? "" : root.name);
  return folder;
}

/** The folder that a directory input gave: `webkitRelativePath` begins with its name. */
export function fromInput(files: readonly File[]): Folder {
  const name = files[0]?.webkitRelativePath.split("/")[0] ?? "";
  const listed = files.map((file) => ({
    path: file.webkitRelativePath.split("/").slice(1).join("/") || file.name,
    open: () => Promise.resolve(file),
  }));
  return { name: name || "folder", files: listed, unreadable: [], cut: false };
}

export interface Plan {
  take: FolderFile[];
  /** Files of .git that stay out. */
  leftOut: number;
  problem: string | null;
}

/** "a, b and 3 more". */
export function some(names: readonly string[]): string {
  const more = names.length - SHOWN_MAX;
  return more > 0 ? `${names.slice(0, SHOWN_MAX).join(", ")} and ${count(more)} more` : names.join(", ");
}

/** Which folder at the top holds most of the files. */
function heaviest(files: readonly FolderFile[]): string {
  const counts = new Map<string, number>();
  for (const { path } of files) {
    const head = path.includes("/") ? `${path.split("/")[0] ?? ""}/` : "";
    if (head) counts.set(head, (counts.get(head) ?? 0) + 1);
  }
  const [most] = [...counts].sort((a, b) => b[1] - a[1]);
  return most && most[1] * 2 > files.length ? most[0] : "";
}

// eslint-disable-next-line no-control-regex -- these are what workers refuse
const badName = /[\u0000-\u001f\u007f\\]/;

const fold = (path: string): string => path.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

function namesProblem(take: readonly FolderFile[]): string | null {
  const odd = take.filter(({ path }) => badName.test(path)).map(({ path }) => path);
  if (odd.length) return `Workers refuse names with a backslash or a control character: ${some(odd)}. Rename them.`;
  const deep = take.filter(({ path }) => path.split("/").length > DEPTH_MAX || new TextEncoder().encode(path).length > PATH_MAX);
  if (deep.length) return `Workers refuse paths that are this long or deep: ${some(deep.map(({ path }) => path))}.`;
  const seen = new Map<string, string>();
  for (const { path } of take) {
    const same = seen.get(fold(path));
    if (same !== undefined) return `Two names differ in letter case only, which workers refuse: ${same}, ${path}. Rename one.`;
    seen.set(fold(path), path);
  }
  return null;
}

/** What of a folder goes into the ZIP, or why nothing does. */
export function plan(folder: Folder, withGit: boolean): Plan {
  const take = withGit ? folder.files : folder.files.filter(({ path }) => !isGit(path));
  const leftOut = folder.files.length - take.length;
  const unreadable = withGit ? folder.unreadable : folder.unreadable.filter((path) => !isGit(path));
  const problem = (text: string): Plan => ({ take: [], leftOut, problem: text });
  if (unreadable.length) return problem(unreadableProblem(unreadable));
  if (take.length > ENTRIES_MAX) {
    const where = heaviest(take);
    const most = where ? ` Most of them are in ${where}` : "";
    return problem(`${folder.name} has more than ${count(ENTRIES_MAX)} files, the most that workers take.${most}${most ? ": l" : " L"}eave out what the commands do not need.`);
  }
  if (take.length === 0)
    return problem(leftOut ? `${folder.name} has no files but those of .git.` : `${folder.name} is empty: there is no file in it.`);
  const names = namesProblem(take);
  return names ? problem(names) : { take, leftOut, problem: null };
}

/** The words for files that could not be read. */
export function unreadableProblem(paths: readonly string[]): string {
  return `${plural(paths.length, "file or folder cannot", "files or folders cannot")} be read: ${some(paths)}. Change the permissions or take them out, then choose the folder again.`;
}

/** Opens what is taken; says what cannot be opened or is too much in sum. */
export async function open(take: readonly FolderFile[], signal: AbortSignal): Promise<{ items: { path: string; file: File }[]; bytes: number; problem: string | null }> {
  const items: { path: string; file: File }[] = [];
  const unreadable: string[] = [];
  let total = 0;
  for (const { path, open: openFile } of take) {
    const file = await openFile().catch(() => null);
    signal.throwIfAborted();
    if (!file) unreadable.push(path);
    else {
      items.push({ path, file });
      total += file.size;
    }
  }
  if (unreadable.length) return { items, bytes: total, problem: unreadableProblem(unreadable) };
  if (total > UNPACKED_MAX)
    return { items, bytes: total, problem: `The folder holds ${bytes(total)}; workers take ${bytes(UNPACKED_MAX)} at most. Leave out what the commands do not need.` };
  return { items, bytes: total, problem: null };
}
