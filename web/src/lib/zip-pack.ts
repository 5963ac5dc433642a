// Packs files into a ZIP as a stream: one piece of one file is in memory at a time.

import { deflateSync, Zip, ZipDeflate } from "fflate";
import { UnreadableError } from "./zip-folder";

export interface PackItem {
  /** Its name in the ZIP. */
  path: string;
  file: Blob & { readonly lastModified?: number };
}

export interface PackProgress {
  files: number;
  /** Read so far. */
  bytes: number;
}

const LEVEL = 4;
const OS_UNIX = 3;
const FILE_MODE = 0o100644;
const PROGRAM_MODE = 0o100755;
const TIME_MIN = Date.UTC(1980, 0, 3); // what a ZIP's clock can tell, a day within, for every zone
const TIME_MAX = Date.UTC(2099, 11, 30);
const PROBE_BYTES = 16 * 1024;
const WORTH = 0.95;

/** A browser does not tell which files may be run. What begins like a script or a Linux program may. */
export function looksRunnable(head: Uint8Array): boolean {
  if (head[0] === 0x23 && head[1] === 0x21) return true;
  return head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46;
}

/** The level for a file that begins so: what is packed already, as pictures are, is only stored. */
export function levelFor(head: Uint8Array): 0 | typeof LEVEL {
  if (head.length < PROBE_BYTES) return LEVEL;
  return deflateSync(head, { level: 1 }).length < head.length * WORTH ? LEVEL : 0;
}

async function readHead(item: PackItem): Promise<Uint8Array> {
  try {
    return new Uint8Array(await item.file.slice(0, PROBE_BYTES).arrayBuffer());
  } catch {
    throw new UnreadableError(item.path);
  }
}

async function addFile(zip: Zip, item: PackItem, read: (bytes: number) => void): Promise<void> {
  const head = await readHead(item);
  const mode = looksRunnable(head) ? PROGRAM_MODE : FILE_MODE;
  const entry = new ZipDeflate(item.path, { level: levelFor(head) });
  entry.os = OS_UNIX;
  entry.attrs = (mode << 16) >>> 0;
  entry.mtime = Math.min(TIME_MAX, Math.max(TIME_MIN, item.file.lastModified ?? Date.now()));
  zip.add(entry);
  const reader = item.file.stream().getReader();
  for (;;) {
    const piece = await reader.read().catch(() => {
      throw new UnreadableError(item.path);
    });
    if (piece.done) break;
    entry.push(piece.value);
    read(piece.value.length);
  }
  entry.push(new Uint8Array(0), true);
}

/** Packs `items` in their order. `sink` gets the ZIP's bytes as they come. */
export async function pack(
  items: readonly PackItem[],
  sink: (bytes: Uint8Array<ArrayBuffer>) => void,
  tell: (progress: PackProgress) => void,
): Promise<void> {
  const progress = { files: 0, bytes: 0 };
  const failures: Error[] = [];
  const zip = new Zip((error, data) => {
    if (error) failures.push(error);
    else sink(data);
  });
  for (const item of items) {
    await addFile(zip, item, (bytes) => {
      progress.bytes += bytes;
      tell({ ...progress });
    });
    progress.files++;
    tell({ ...progress });
    if (failures[0]) throw failures[0];
  }
  zip.end();
}
