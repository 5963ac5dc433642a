// Addresses and commands that lead out of the page.

import { address } from "../../api/client";
import { requestAgain } from "../../api/calls";
import type { Job, Stream } from "../../api/types";
import { shellQuote } from "../../lib/quote";

/** Where the bytes of an attempt's stream are, to be saved. */
export function rawUrl(jobId: string, stream: Stream, attempt: number): string {
  return address("api/jobs/output", { jobId, stream, attempt: attempt || null });
}

/** The same bytes, to be shown by the browser as plain text. */
export function textUrl(jobId: string, stream: Stream, attempt: number): string {
  return address("api/jobs/output", { jobId, stream, attempt: attempt || null, view: "text" });
}

/** A command line that submits the same job. `base` is the address of the call. A NUL cannot be in a command line; JSON
 *  writes it, like all control characters, as an escape. */
export function curlOf(job: Job, base: string): string {
  const body = JSON.stringify(requestAgain(job));
  return `curl -sS -X POST -H 'Content-Type: application/json' \\\n  --data-raw ${shellQuote(body)} \\\n  ${shellQuote(base)}`;
}
