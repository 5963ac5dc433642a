// "Run again with changes": `#/run?from=JOB_ID` fills the page from that job.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { getJob } from "../../api/calls";
import { ApiError, send } from "../../api/client";
import type { Job } from "../../api/types";
import { remember } from "../../lib/history";
import { route, setQuery } from "../../router";
import { draft, draftOf } from "./draft";
import { clearSource, source, takeJobFile } from "./source";

export interface Filling {
  jobId: string;
  /** How it failed; null while it is on its way. */
  error: string | null;
}

/** The job that the page is being filled from. */
export const filling = signal<Filling | null>(null);
/** Said once the page is filled. */
export const filled = signal<{ jobId: string; fileGone: boolean } | null>(null);

/** True when the server no longer has the file. Files of other servers are not asked for. */
async function isGone(fileUrl: string): Promise<boolean> {
  if (!fileUrl.startsWith("/uploads/")) return false;
  try {
    await send("HEAD", fileUrl);
    return false;
  } catch (error) {
    return error instanceof ApiError && (error.status === 404 || error.status === 410);
  }
}

function take(job: Job): void {
  if (draft.value.command !== job.command) remember(draft.value.command); // what was typed is not lost
  draft.value = draftOf(job);
  const fileUrl = job.fileUrl ?? "";
  takeJobFile({ jobId: job.jobId, filename: job.filename ?? "project.zip", fileUrl, ...(job.deltaUrl ? { deltaUrl: job.deltaUrl } : {}) });
  filled.value = { jobId: job.jobId, fileGone: false };
  void dropIfGone(job.jobId, fileUrl);
}

/** Asking takes a while for a large file: the gateway fetches it first. */
async function dropIfGone(jobId: string, fileUrl: string): Promise<void> {
  if (!(await isGone(fileUrl))) return;
  const now = source.value;
  if (now.kind !== "job" || now.jobId !== jobId) return;
  clearSource();
  filled.value = { jobId, fileGone: true };
}

/** Fills the page from a job, and drops it from the address, so that a reload keeps what is changed then. */
export async function fillFrom(jobId: string): Promise<void> {
  filling.value = { jobId, error: null };
  filled.value = null;
  try {
    take(await getJob(jobId));
    filling.value = null;
    setQuery({});
  } catch (error) {
    filling.value = { jobId, error: error instanceof Error ? error.message : String(error) };
  }
}

/** Lets it be: the page stays as it is. */
export function stopFilling(): void {
  filling.value = null;
  setQuery({});
}

export function useFilling(): void {
  const from = route.value.name === "run" ? (route.value.query.get("from") ?? "") : "";
  useEffect(() => {
    if (from) void fillFrom(from);
  }, [from]);
}
