// The output of a tab's jobs, one after the other, written into a terminal as it comes.

import { getJob } from "../../api/calls";
import { ApiError, send } from "../../api/client";
import type { Job } from "../../api/types";
import { follow, pausing } from "../../lib/follow";
import { jobTitle } from "../../lib/format";
import { sentence } from "../../lib/reasons";
import { TerminalText } from "../../lib/terminaltext";

export interface Screen {
  write: (text: string) => void;
}

const OLD_BYTES_MAX = 256 * 1024; // of a stream of an ended job: its end is what one looks for

const AGAIN_MS = 300;

const over = (job: Job): boolean => job.status === "completed" || job.status === "failed";

/** Control characters of a text that is not output: shown as spaces. */
const plain = (text: string): string => text.replace(/\p{Cc}/gu, " ");

const RESET = "\x1b[0m"; // what one job left of colours is not the next one's

function heading(job: Job): string {
  return `${RESET}\x1b[1;36m$ ${plain(jobTitle(job))}\x1b[0m \x1b[2m${job.jobId}\x1b[0m\r\n`;
}

function ending(job: Job): string {
  if (job.status === "completed") return `${RESET}\x1b[32m✓ completed on ${plain(job.workerId ?? "a worker")}\x1b[0m\r\n\r\n`;
  return `${RESET}\x1b[31m✗ ${plain(sentence(job))}\x1b[0m\r\n\r\n`;
}

async function attemptOutput(job: Job, screen: Screen, signal: AbortSignal): Promise<void> {
  const attempt = job.status === "pending" ? null : job.attempt;
  const show = async (stream: "stdout" | "stderr", length: number): Promise<void> => {
    let at = over(job) ? Math.max(0, length - OLD_BYTES_MAX) : 0;
    if (at) screen.write(`\x1b[2m… ${at} bytes of ${stream} are on the job's page\x1b[0m\r\n`);
    const text = new TerminalText();
    await follow(
      {
        open: (offset, stop) => send("GET", "api/jobs/output", { jobId: job.jobId, stream, attempt, offset, follow: 1 }, null, { signal: stop }),
        offset: () => at,
        take: (bytes) => {
          at += bytes.length;
          screen.write(text.take(bytes));
        },
        over: () => true, // one attempt: what comes to its end is all of it
      },
      signal,
    );
    if (!signal.aborted) screen.write(text.end());
  };
  await Promise.all([show("stdout", job.stdoutBytes ?? 0), show("stderr", job.stderrBytes ?? 0)]);
}

/** The job's record, asked for until it is known. */
async function record(jobId: string, signal: AbortSignal): Promise<Job | null> {
  while (!signal.aborted) {
    try {
      return await getJob(jobId, { signal });
    } catch (error) {
      if (!(error instanceof ApiError) || !error.passes) return null;
      await pausing(1500, signal);
    }
  }
  return null;
}

/** Shows one job to its end, through all its attempts. `stays` is called when it has not ended yet. */
export async function showJob(jobId: string, screen: Screen, signal: AbortSignal, stays: () => void): Promise<void> {
  let job = await record(jobId, signal);
  if (job) screen.write(heading(job));
  if (job && !over(job)) stays();
  for (let shown = 0; job && !signal.aborted; job = await record(jobId, signal)) {
    const begun = job.attempt ?? 0;
    const attempt: number = begun + (job.status === "pending" ? 1 : 0); // a pending one's is to come
    const canFollow = job.status !== "pending" || begun === 0; // else "the last attempt" is still the one before
    if (attempt > shown && canFollow) {
      if (shown) screen.write(`\x1b[33mAttempt ${shown} is over; it runs again.\x1b[0m\r\n`);
      if (!job.outputGone) await attemptOutput(job, screen, signal).catch(() => undefined);
      shown = attempt;
    } else if (over(job)) {
      screen.write(ending(job));
      return;
    } else {
      await pausing(AGAIN_MS, signal);
    }
  }
  if (!signal.aborted) screen.write(`\x1b[2m${jobId} is no longer known.\x1b[0m\r\n`);
}
