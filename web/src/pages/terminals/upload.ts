// Files for a tab's commands: a ZIP that the user chose, or none.

import { realTimer, Retrier } from "../../lib/upload-retry";
import { blobTransport } from "../../lib/upload-http";
import { Upload } from "../../lib/upload";

/** Sends a ZIP, through broken connections; its address for jobs. */
export function uploadZip(zip: Blob, sent: (bytes: number) => void): Promise<string> {
  const { signal } = new AbortController();
  return new Upload(zip, blobTransport(signal), new Retrier(signal, () => undefined), (now) => sent(now.sent), realTimer).run();
}

// A ZIP without entries: its end record alone (APPNOTE 4.3.16).
const EMPTY_ZIP = new Uint8Array(22);
EMPTY_ZIP.set([0x50, 0x4b, 0x05, 0x06]);

/** The address of an archive without files. */
export async function emptyProject(): Promise<{ fileUrl: string; filename: string }> {
  return { fileUrl: await uploadZip(new Blob([EMPTY_ZIP]), () => undefined), filename: "empty.zip" };
}
