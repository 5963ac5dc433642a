// Blobs over HTTP: how an upload (upload.ts) reaches the gateway.

import { randomId } from "../api/calls";
import { ApiError, noAnswer, noteStatus, post, send } from "../api/client";
import { asking, loggedIn } from "../api/session";
import type { Transport } from "./upload";

const PATIENCE_MS = 60_000;

/** A call that gives up when nothing is heard for long: a cable that was pulled does not answer. */
export async function patient<T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  try {
    return await call(AbortSignal.any([signal, late]));
  } catch (error) {
    if (signal.aborted || error instanceof ApiError || !late.aborted) throw error;
    if (asking.value && (await loggedIn(signal))) return patient(signal, call); // people take their time
    noteStatus(0);
    throw noAnswer();
  }
}

/** Uploads over the API of blobs. */
export function blobTransport(signal: AbortSignal): Transport {
  const headers = { "Content-Type": "application/octet-stream" };
  return {
    newId: randomId,
    put: (id, offset, piece) =>
      patient(signal, async (both) => {
        const answer = await send("POST", "api/blobs/put", { upload: id, offset }, piece, { signal: both, headers });
        return ((await answer.json()) as { offset: number }).offset;
      }),
    commit: (id, size) =>
      patient(signal, async (both) => {
        const answer = await post<{ fileUrl: string }>("api/blobs/commit", { upload: id, bytes: size, zip: true }, { signal: both });
        return answer.fileUrl;
      }),
  };
}
