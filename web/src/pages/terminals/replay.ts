// The output of a tab's jobs, one after the other, written into a terminal as it comes.

import { getJob } from "../../api/calls";
import { ApiError, send } from "../../api/client";
import type { Job } from "../../api/types";
import { pausing } from "../../lib/follow";
import { jobTitle } from "../../lib/format";
import { sentence } from "../../lib/reasons";
import { followSeen } from "../../lib/seen";
import { TerminalText } from "../../lib/terminaltext";
import { Ear } from "./ear";

export interface Screen {
  /** `done` is called when the text is drawn. */
  write: (text: string, done?: () => void) => void;
}

const OLD_BYTES_MAX = 256 * 1024; // of what a stream has when it is opened: its end is what one looks for

const over = (job: Job): boolean => job.status === "completed" || job.status === "failed";

/** Control characters of a text that is not output: shown as spaces. */
const plain = (text: string): string => text.replace(/\p{Cc}/gu, " ");

// eslint-disable-next-line no-control-regex -- colours take no room
const COLOURS = /\x1b\[[\d;:]*m/g;

const RESET = "\x1b[0m"; // what one job left of colours is not the next one's

function heading(job: Job): string {
  return `${RESET}\x1b[1;36m$ ${plain(jobTitle(job))}\x1b[0m \x1b[2m${job.jobId}\x1b[0m`;
}

function ending(job: Job): string {
  if (job.status === "completed") return `${RESET}\x1b[32m✓ completed on ${plain(job.workerId ?? "a worker")}\x1b[0m\r\n`;
  return `${RESET}\x1b[31m✗ ${plain(sentence(job))}\x1b[0m\r\n`;
}

/** Writes into the screen, and knows whether the next text begins a line. */
class Paper {
  private atStart = true;

  constructor(
    private readonly screen: Screen,
    private readonly signal: AbortSignal,
  ) {}

  /** Resolves when the text is drawn, or the signal aborts: a screen that is gone draws nothing more. */
  write(text: string): Promise<void> {
    if (!text) return Promise.resolve();
    const visible = text.replace(COLOURS, "");
    if (visible) this.atStart = visible.endsWith("\n");
    return new Promise((resolve) => {
      const done = (): void => {
        this.signal.removeEventListener("abort", done);
        resolve();
      };
      this.signal.addEventListener("abort", done);
      this.screen.write(text, done);
    });
  }

  /** Writes a text of our own, on a line of its own. */
  say(text: string): void {
    void this.write(`${this.atStart ? "" : "\r\n"}${text}\r\n`);
  }
}

async function attemptOutput(job: Job, paper: Paper, signal: AbortSignal): Promise<void> {
  const show = async (stream: "stdout" | "stderr", length: number): Promise<void> => {
    let at = Math.max(0, length - OLD_BYTES_MAX);
    if (at) paper.say(`\x1b[2m… ${at} bytes of ${stream} are on the job's page\x1b[0m`);
    const text = new TerminalText();
    await followSeen(
      {
        open: (offset, stop) => send("GET", "api/jobs/output", { jobId: job.jobId, stream, attempt: job.attempt, offset, follow: 1 }, null, { signal: stop }),
        offset: () => at,
        take: (bytes) => {
          at += bytes.length;
          return paper.write(text.take(bytes));
        },
        over: () => true, // one attempt: what comes to its end is all of it
      },
      signal,
    );
    if (!signal.aborted) await paper.write(text.end());
  };
  await Promise.all([show("stdout", job.stdoutBytes ?? 0), show("stderr", job.stderrBytes ?? 0)]);
}

/** The job's record, asked for until there is an answer. Throws ApiError when it is refused. */
async function record(jobId: string, signal: AbortSignal): Promise<Job> {
  for (;;) {
    try {
      return await getJob(jobId, { signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError) || !error.passes) throw error;
      await pausing(1500, signal);
      signal.throwIfAborted();
    }
  }
}

/** What happens to a job from now to its end: the output of each attempt, once it runs. */
async function toItsEnd(first: Job, paper: Paper, signal: AbortSignal): Promise<Job> {
  const ear = new Ear(first.jobId);
  try {
    let job = first;
    for (let shown = 0; ; job = await record(job.jobId, signal)) {
      const attempt = job.attempt ?? 0;
      if (attempt > shown && job.status !== "pending") {
        if (shown) paper.say(`\x1b[33mAttempt ${shown} is over; it runs again.\x1b[0m`);
        if (!job.outputGone) await attemptOutput(job, paper, signal).catch(() => undefined);
        shown = attempt;
        if (over(job)) return job;
      } else if (over(job)) {
        return job;
      } else {
        await ear.news(signal); // one that waits has no output to follow
      }
      signal.throwIfAborted();
    }
  } finally {
    ear.close();
  }
}

/** Shows one job to its end, through all its attempts. `stays` is called when it has not ended yet. */
export async function showJob(jobId: string, screen: Screen, signal: AbortSignal, stays: () => void): Promise<void> {
  const paper = new Paper(screen, signal);
  try {
    const job = await record(jobId, signal);
    paper.say(heading(job));
    if (!over(job)) stays();
    paper.say(ending(await toItsEnd(job, paper, signal)));
  } catch (error) {
    if (signal.aborted) return;
    const gone = error instanceof ApiError && error.status === 404;
    const why = error instanceof Error ? error.message : String(error);
    paper.say(`${RESET}\x1b[2m${jobId} ${gone ? "is no longer known." : `cannot be shown: ${plain(why)}`}\x1b[0m`);
  }
}
