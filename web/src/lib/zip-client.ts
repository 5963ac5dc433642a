// The page's side of the zip worker.

import { UnreadableError } from "./zip-folder";
import type { PackItem, PackProgress } from "./zip-pack";

export type FromWorker =
  | { kind: "progress"; progress: PackProgress }
  | { kind: "done"; zip: Blob }
  | { kind: "failed"; path: string | null; text: string };

/** Zips in a worker. An abort ends the worker at once. */
export function zipInWorker(items: PackItem[], tell: (progress: PackProgress) => void, signal: AbortSignal): Promise<Blob> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./zip.worker.ts", import.meta.url), { type: "module" });
    const end = (): void => {
      worker.terminate();
      signal.removeEventListener("abort", stop);
    };
    const stop = (): void => {
      end();
      reject(new DOMException("stopped", "AbortError"));
    };
    signal.addEventListener("abort", stop);
    worker.onmessage = (event: MessageEvent<FromWorker>) => {
      const message = event.data;
      if (message.kind === "progress") {
        tell(message.progress);
        return;
      }
      end();
      if (message.kind === "done") resolve(message.zip);
      else reject(message.path === null ? new Error(message.text) : new UnreadableError(message.path));
    };
    worker.onerror = () => {
      end();
      reject(new Error("The part of the page that zips could not be loaded. Reload the page, or choose a ZIP."));
    };
    if (signal.aborted) stop();
    else worker.postMessage(items);
  });
}
