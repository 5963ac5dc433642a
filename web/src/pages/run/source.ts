// The project that a job is to run on: a chosen ZIP, a folder being zipped, or the ZIP of an earlier job.

import { signal } from "@preact/signals";
import { bytes } from "../../lib/format";
import { stored } from "../../lib/storage";
import { checkZip, summary, type Listing } from "../../lib/zip";
import { zipInWorker } from "../../lib/zip-client";
import { fromInput, open, plan, unreadableProblem, UnreadableError, walk, type Entry, type Folder } from "../../lib/zip-folder";

/** The file of an earlier job. */
export interface Reuse {
  jobId: string;
  filename: string;
  fileUrl: string;
  /** What is laid over it. */
  deltaUrl?: string;
}

export interface Ready {
  kind: "ready";
  from: "zip" | "folder";
  /** As the job will know it: a plain file name. */
  name: string;
  blob: Blob;
  listing: Listing | null;
  /** Files of .git that stayed out, or are in it. */
  git: number;
  withGit: boolean;
  /** When it was read, ms since the epoch. */
  at: number;
  /** Where it is at the server, once it was uploaded. */
  fileUrl: string | null;
  /** When it was sent there, ms since the epoch. */
  sentAt: number;
}

export type Source =
  | { kind: "none" }
  | { kind: "checking"; name: string }
  | { kind: "reading"; name: string; files: number }
  | { kind: "packing"; name: string; files: number; filesAll: number; bytes: number; bytesAll: number }
  | { kind: "bad"; name: string; problem: string; folder: boolean }
  | Ready
  | ({ kind: "job" } & Reuse);

const lastName = stored<string>("run.file", "");
const reused = stored<Reuse | null>("run.reuse", null);

/** The name of the file that was chosen before the page was loaded again: the browser kept the name only. */
export const forgotten = signal(reused.peek() ? "" : lastName.peek());

const isReuse = (value: Reuse | null): value is Reuse =>
  [value?.jobId, value?.filename, value?.fileUrl].every((text) => typeof text === "string");
const kept = isReuse(reused.peek()) ? reused.peek() : null;
export const source = signal<Source>(kept ? { kind: "job", ...kept } : { kind: "none" });

/** Larger files are refused; null: not known yet. */
export const uploadMax = signal<number | null>(null);

let work = new AbortController();
let folder: Folder | null = null;
/** What was dropped, to be read again. A picked folder cannot: its files are as they were when it was picked. */
let dropped: readonly Entry[] | null = null;

const FILENAME_MAX = 255;

/** A name that the server takes: one path component, no control characters, not too long. */
export function plainName(name: string, suffix = ""): string {
  // eslint-disable-next-line no-control-regex -- just these are refused by the server
  let plain = name.replace(/[\u0000-\u001f\u007f/\\]/g, "_").replace(/^-+/, "") || "project";
  if (plain === "." || plain === "..") plain = "project";
  while (new TextEncoder().encode(plain + suffix).length > FILENAME_MAX) plain = plain.slice(0, -1);
  return plain + suffix;
}

function begin(name: string): AbortSignal {
  work.abort();
  work = new AbortController();
  forgotten.value = "";
  lastName.value = name;
  reused.value = null;
  return work.signal;
}

function bad(name: string, problem: string, isFolder: boolean): void {
  source.value = { kind: "bad", name, problem, folder: isFolder };
}

/** What is wrong with a size; null: nothing. */
export function sizeProblem(name: string, size: number, max: number | null): string | null {
  if (max === null || size <= max) return null;
  return `${name} has ${bytes(size)}; this gateway takes ${bytes(max)} at most. Leave out what the commands do not need, or start the gateway with a larger --upload-max.`;
}

/** Runs `job`; what it throws becomes a problem in place, unless another choice came meanwhile. */
async function guarded(name: string, isFolder: boolean, signal: AbortSignal, job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    if (signal.aborted) return;
    const unreadable = error instanceof UnreadableError ? unreadableProblem([error.path]) : null;
    const gone = error instanceof DOMException ? `${name} cannot be read: it was changed, moved or removed, or its permissions forbid it. Choose it again.` : null;
    bad(name, unreadable ?? gone ?? (error instanceof Error ? error.message : String(error)), isFolder);
  }
}

/** Takes a file that was chosen or dropped. */
export async function chooseZip(file: File): Promise<void> {
  const signal = begin(file.name);
  folder = dropped = null;
  source.value = { kind: "checking", name: file.name };
  await guarded(file.name, false, signal, async () => {
    const tooLarge = sizeProblem(file.name, file.size, uploadMax.value);
    const checked = tooLarge ? { problem: tooLarge, listing: null } : await checkZip(file, file.name);
    if (signal.aborted) return;
    if (checked.problem) bad(file.name, checked.problem, false);
    else source.value = { kind: "ready", from: "zip", name: plainName(file.name), blob: file, listing: checked.listing, git: 0, withGit: false, at: Date.now(), fileUrl: null, sentAt: 0 };
  });
}

async function packFolder(from: Folder, withGit: boolean, signal: AbortSignal): Promise<void> {
  const { take, leftOut, problem } = plan(from, withGit);
  if (problem) return bad(from.name, problem, true);
  const opened = await open(take, signal);
  if (opened.problem) return bad(from.name, opened.problem, true);
  const all = { kind: "packing", name: from.name, filesAll: take.length, bytesAll: opened.bytes } as const;
  source.value = { ...all, files: 0, bytes: 0 };
  const blob = await zipInWorker(opened.items, (done) => (source.value = { ...all, ...done }), signal);
  const name = plainName(from.name, ".zip");
  const tooLarge = sizeProblem(name, blob.size, uploadMax.value);
  if (tooLarge) return bad(from.name, tooLarge, true);
  const listing = summary(opened.items.map(({ path, file }) => ({ name: path, size: file.size })));
  const git = withGit ? from.files.length - plan(from, false).take.length : leftOut;
  source.value = { kind: "ready", from: "folder", name, blob, listing, git, withGit, at: Date.now(), fileUrl: null, sentAt: 0 };
}

/** Takes what a folder input gave. */
export async function chooseFolder(files: readonly File[]): Promise<void> {
  const picked = fromInput(files);
  const signal = begin(picked.name);
  folder = picked;
  dropped = null;
  source.value = { kind: "reading", name: picked.name, files: files.length };
  await guarded(picked.name, true, signal, () => packFolder(picked, false, signal));
}

/** Takes dropped folders, or several files at once. */
export async function chooseEntries(roots: readonly Entry[], withGit = false): Promise<void> {
  const name = roots.length === 1 ? (roots[0]?.name ?? "") : "files";
  const signal = begin(name);
  dropped = roots;
  source.value = { kind: "reading", name, files: 0 };
  await guarded(name, true, signal, async () => {
    const walked = await walk(roots, (files) => (source.value = { kind: "reading", name, files }), signal);
    folder = walked;
    await packFolder(walked, withGit, signal);
  });
}

/** Takes or leaves out .git, and packs anew. */
export async function includeGit(withGit: boolean): Promise<void> {
  const from = folder;
  if (!from) return;
  const signal = begin(from.name);
  source.value = { kind: "reading", name: from.name, files: from.files.length };
  await guarded(from.name, true, signal, () => packFolder(from, withGit, signal));
}

/** True when `readAgain` can read the folder as it is now. */
export function canReadAgain(): boolean {
  return dropped !== null;
}

export async function readAgain(): Promise<void> {
  const now = source.value;
  if (dropped) await chooseEntries(dropped, now.kind === "ready" && now.withGit);
}

/** Lets the choice go; ends what is being done with it. */
export function clearSource(): void {
  begin("");
  folder = dropped = null;
  source.value = { kind: "none" };
}

/** Takes the file of an earlier job. */
export function takeJobFile(file: Reuse): void {
  clearSource();
  reused.value = file;
  source.value = { kind: "job", ...file };
}

/** Remembers where the chosen file is at the server, so that it is not sent twice. */
export function noteUploaded(ready: Ready, fileUrl: string): void {
  if (source.value === ready) source.value = { ...ready, fileUrl, sentAt: Date.now() };
}

/** Resolves when nothing is being read or packed any more. */
export function settled(signal: AbortSignal): Promise<Source> {
  return new Promise((resolve, reject) => {
    let stop = (): void => undefined;
    const abort = (): void => {
      stop();
      reject(new DOMException("stopped", "AbortError"));
    };
    signal.addEventListener("abort", abort);
    const seen = source.subscribe((now) => {
      if (now.kind === "checking" || now.kind === "reading" || now.kind === "packing") return;
      signal.removeEventListener("abort", abort);
      queueMicrotask(() => stop());
      resolve(now);
    });
    stop = seen;
    if (signal.aborted) abort();
  });
}

interface Dropped {
  readonly items: ArrayLike<{ kind: string; webkitGetAsEntry?(): Entry | null }>;
  readonly files: ArrayLike<File>;
}

/** Takes what was dropped on the page. The data of a drop must be read before its event is over. */
export function takeDrop(data: Dropped): Promise<void> {
  const items = Array.from(data.items).filter((item) => item.kind === "file");
  const entries = items.map((item) => item.webkitGetAsEntry?.() ?? null).filter((entry) => entry !== null);
  const files = Array.from(data.files);
  const [file] = files;
  if (entries.some((entry) => entry.isDirectory) || entries.length > 1) return chooseEntries(entries);
  return file ? chooseZip(file) : Promise.resolve();
}
