// Zips a folder off the page's thread. What is done goes into Blobs, which the browser may keep on disk.

import type { FromWorker } from "./zip-client";
import { UnreadableError } from "./zip-folder";
import { pack, type PackItem } from "./zip-pack";

const PART_BYTES = 4 * 1024 * 1024;
const TELL_MS = 100;

const say = (message: FromWorker): void => self.postMessage(message);

async function work(items: PackItem[]): Promise<void> {
  const parts: Blob[] = [];
  let open: Uint8Array<ArrayBuffer>[] = [];
  let openBytes = 0;
  let told = 0;
  await pack(
    items,
    (data) => {
      open.push(data);
      openBytes += data.length;
      if (openBytes < PART_BYTES) return;
      parts.push(new Blob(open));
      open = [];
      openBytes = 0;
    },
    (progress) => {
      const now = performance.now();
      if (now - told < TELL_MS) return;
      told = now;
      say({ kind: "progress", progress });
    },
  );
  say({ kind: "done", zip: new Blob([...parts, ...open], { type: "application/zip" }) });
}

self.onmessage = (event: MessageEvent<PackItem[]>) => {
  work(event.data).catch((error: unknown) => {
    say({ kind: "failed", path: error instanceof UnreadableError ? error.path : null, text: String(error) });
  });
};
