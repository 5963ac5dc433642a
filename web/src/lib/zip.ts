// What a ZIP is and what is in it, from its first bytes and its central directory (APPNOTE.TXT 4.3). Nothing is unpacked.

import { bytes, count } from "./format";

const END_SIZE = 22;
const TAIL_MAX = END_SIZE + 65535;
const DIRECTORY_READ_MAX = 8 * 1024 * 1024;
const ENTRY_SIZE = 46;
const IS_64 = 0xffffffff;

/** What workers refuse to unpack; the same numbers as theirs. */
export const ENTRIES_MAX = 10_000;
export const UNPACKED_MAX = 1024 * 1024 * 1024;

export interface ZipEntry {
  name: string;
  size: number;
  encrypted: boolean;
}

export interface Listing {
  /** Files; folders of their own are not counted. */
  files: number;
  /** Their size when unpacked. */
  bytes: number;
  /** What stands at the top: `src/`, `Makefile`. */
  top: string[];
}

export interface Checked {
  /** What is wrong with it, a sentence or two for people; null: nothing. */
  problem: string | null;
  /** Null where the directory is not one that we read (ZIP64, or a very long one). */
  listing: Listing | null;
}

interface End {
  entries: number;
  size: number;
  offset: number;
}

/** True for the first bytes of a ZIP, be it an empty one. */
export function hasZipHead(head: Uint8Array): boolean {
  if (head.length < 4 || head[0] !== 0x50 || head[1] !== 0x4b) return false;
  return (head[2] === 3 && head[3] === 4) || (head[2] === 5 && head[3] === 6);
}

/** The end-of-central-directory record whose comment reaches just to the file's end. */
export function findEnd(tail: Uint8Array): End | null {
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  for (let at = tail.length - END_SIZE; at >= 0; at--) {
    if (view.getUint32(at, true) !== 0x06054b50 || view.getUint16(at + 20, true) !== tail.length - at - END_SIZE) continue;
    return { entries: view.getUint16(at + 10, true), size: view.getUint32(at + 12, true), offset: view.getUint32(at + 16, true) };
  }
  return null;
}

/** The entries of a central directory; null when it is damaged or has 64-bit sizes. */
export function readDirectory(directory: Uint8Array, entries: number): ZipEntry[] | null {
  const view = new DataView(directory.buffer, directory.byteOffset, directory.byteLength);
  const text = new TextDecoder();
  const found: ZipEntry[] = [];
  let at = 0;
  for (let nth = 0; nth < entries; nth++) {
    if (at + ENTRY_SIZE > directory.length || view.getUint32(at, true) !== 0x02014b50) return null;
    const size = view.getUint32(at + 24, true);
    const nameLength = view.getUint16(at + 28, true);
    if (size === IS_64 || at + ENTRY_SIZE + nameLength > directory.length) return null;
    const name = text.decode(directory.subarray(at + ENTRY_SIZE, at + ENTRY_SIZE + nameLength));
    found.push({ name, size, encrypted: (view.getUint16(at + 8, true) & 1) === 1 });
    at += ENTRY_SIZE + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

/** Sums entries up. */
export function summary(entries: readonly { name: string; size: number }[]): Listing {
  const top = new Set<string>();
  let files = 0;
  let total = 0;
  for (const { name, size } of entries) {
    const slash = name.indexOf("/");
    top.add(slash < 0 ? name : name.slice(0, slash + 1));
    if (!name.endsWith("/")) files++;
    total += size;
  }
  const order = (name: string): string => (name.endsWith("/") ? `0${name}` : `1${name}`);
  return { files, bytes: total, top: [...top].sort((a, b) => order(a).localeCompare(order(b))) };
}

/** The one folder that holds everything; "" when there is none. */
export function onlyFolder(listing: Listing): string {
  const [only = ""] = listing.top;
  return listing.top.length === 1 && only.endsWith("/") ? only.slice(0, -1) : "";
}

function entriesProblem(entries: readonly ZipEntry[]): string | null {
  if (entries.some((entry) => entry.encrypted))
    return "The ZIP is encrypted, and workers have no password. Make it again without one.";
  const unpacked = entries.reduce((sum, entry) => sum + entry.size, 0);
  if (unpacked > UNPACKED_MAX)
    return `The ZIP holds ${bytes(unpacked)} when unpacked; workers take ${bytes(UNPACKED_MAX)} at most. Leave out what the commands do not need.`;
  return null;
}

async function slice(blob: Blob, from: number, to: number): Promise<Uint8Array> {
  return new Uint8Array(await blob.slice(from, to).arrayBuffer());
}

/** Looks at a file: is it a ZIP that workers take? Throws what reading throws. */
export async function checkZip(blob: Blob, name: string): Promise<Checked> {
  const bad = (problem: string): Checked => ({ problem, listing: null });
  if (blob.size === 0) return bad(`${name} is empty.`);
  const notZip = `${name} is not a ZIP. Choose a .zip file, or a folder: that is zipped for you.`;
  if (!hasZipHead(await slice(blob, 0, 4))) return bad(notZip);
  const from = Math.max(0, blob.size - TAIL_MAX);
  const end = findEnd(await slice(blob, from, blob.size));
  if (!end) return bad(`${name} begins like a ZIP but has no end: it was cut off on its way. Make or download it again.`);
  if (end.entries !== 0xffff && end.entries > ENTRIES_MAX)
    return bad(`The ZIP has ${count(end.entries)} entries; workers take ${count(ENTRIES_MAX)} at most.`);
  if (end.size > DIRECTORY_READ_MAX || end.offset + end.size > blob.size) return { problem: null, listing: null };
  const entries = readDirectory(await slice(blob, end.offset, end.offset + end.size), end.entries);
  if (!entries) return { problem: null, listing: null };
  const problem = entriesProblem(entries);
  return problem ? bad(problem) : { problem: null, listing: summary(entries) };
}
