// Files for a tab's commands: a ZIP that the user chose, or none.

import { effect } from "@preact/signals";
import { getInfo } from "../../api/calls";
import { connection } from "../../api/client";
import { checkReadable, Upload, type Sent } from "../../lib/upload";
import { blobTransport, patient } from "../../lib/upload-http";
import { realTimer, Retrier, type Waiting } from "../../lib/upload-retry";
import type { Project } from "../../lib/tabs";
import { checkZip } from "../../lib/zip";
import { plainName, sizeProblem } from "../run/source";

export interface Told {
  sent: (now: Sent) => void;
  /** Of a pause until the next try; null: it goes on. */
  waits: (waiting: Waiting | null) => void;
}

/** Does something with a Retrier that tries at once when the connection is back. */
async function kept<T>(told: Told, signal: AbortSignal, what: (keep: Retrier) => Promise<T>): Promise<T> {
  const keep = new Retrier(signal, told.waits);
  const kick = (): void => keep.kick();
  const forget = effect(() => {
    if (connection.value === "ok") kick();
  });
  window.addEventListener("online", kick);
  try {
    return await what(keep);
  } finally {
    forget();
    window.removeEventListener("online", kick);
  }
}

/** Sends a ZIP, through broken connections, once it is known to be one that is taken; what is wrong with it is thrown. */
export function sendProject(file: File, told: Told, signal: AbortSignal): Promise<Project> {
  return kept(told, signal, async (keep) => {
    await checkReadable(file);
    const info = await keep.keep(() => patient(signal, (both) => getInfo({ signal: both })));
    const problem = sizeProblem(file.name, file.size, info.gateway?.uploadMax ?? null) ?? (await checkZip(file, file.name)).problem;
    if (problem) throw new Error(problem);
    const fileUrl = await new Upload(file, blobTransport(signal), keep, told.sent, realTimer).run();
    return { fileUrl, filename: plainName(file.name) };
  });
}

// A ZIP without entries: its end record alone (APPNOTE 4.3.16).
const EMPTY_ZIP = new Uint8Array(22);
EMPTY_ZIP.set([0x50, 0x4b, 0x05, 0x06]);

/** An archive without files. */
export function emptyProject(waits: Told["waits"], signal: AbortSignal): Promise<Project> {
  const told = { sent: () => undefined, waits };
  return kept(told, signal, async (keep) => {
    const fileUrl = await new Upload(new Blob([EMPTY_ZIP]), blobTransport(signal), keep, told.sent, realTimer).run();
    return { fileUrl, filename: "empty.zip" };
  });
}
