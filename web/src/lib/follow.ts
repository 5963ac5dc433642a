// A stream of a job's output as it comes, through broken connections: it goes on from the byte that it had.

import { address, errorOf, noAnswer, noteStatus, type ApiError } from "../api/client";
import type { JobState, Stream } from "../api/types";

export interface Followed {
  jobId: string;
  stream: Stream;
  /** 0: whichever is the last. */
  attempt: number;
  offset: number;
}

/** What is known from the answer's head. */
export interface FollowHead {
  attempt: number;
  status: JobState;
  /** The stream's length at that moment. */
  bytes: number;
}

export interface FollowEvents {
  begun?: (head: FollowHead) => void;
  /** Bytes that stand at `offset` of the stream of `attempt`. */
  came: (bytes: Uint8Array, offset: number, attempt: number) => void;
}

const PAUSE_FIRST_MS = 300;
const PAUSE_MAX_MS = 5000;

function headOf(response: Response): FollowHead {
  const number = (name: string): number => Number(response.headers.get(name) ?? 0) || 0;
  return {
    attempt: number("X-Attempt"),
    status: (response.headers.get("X-Job-Status") ?? "running") as JobState,
    bytes: number("X-Output-Bytes"),
  };
}

/** Waits; earlier when `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Reads one answer to its end; false when it broke off. */
async function readAnswer(what: Followed, response: Response, events: FollowEvents): Promise<boolean> {
  const head = headOf(response);
  if (what.attempt && head.attempt !== what.attempt) return true;
  what.attempt = head.attempt;
  events.begun?.(head);
  const reader = response.body?.getReader();
  if (!reader) return true;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return true;
      events.came(value, what.offset, what.attempt);
      what.offset += value.length;
    }
  } catch {
    return false;
  }
}

async function ask(what: Followed, signal: AbortSignal): Promise<Response | ApiError> {
  let response: Response;
  const params = { jobId: what.jobId, stream: what.stream, attempt: what.attempt || null, offset: what.offset, follow: 1 };
  try {
    response = await fetch(address("api/jobs/output", params), { signal });
  } catch {
    if (!signal.aborted) noteStatus(0);
    return noAnswer();
  }
  noteStatus(response.status);
  return response.ok ? response : errorOf(response.status, await response.text());
}

/** Follows one attempt's stream to its end, or until `signal`. `what` is brought up to date as bytes come. Throws
 *  ApiError for a refusal that will not pass. */
export async function followAttempt(what: Followed, events: FollowEvents, signal: AbortSignal): Promise<void> {
  let wait = PAUSE_FIRST_MS;
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    const before = what.offset;
    const answer = await ask(what, signal);
    if (answer instanceof Response) {
      if ((await readAnswer(what, answer, events)) || stopped()) return;
    } else if (!answer.passes && !stopped()) {
      throw answer;
    }
    wait = what.offset > before ? PAUSE_FIRST_MS : Math.min(PAUSE_MAX_MS, wait * 2);
    await pause(wait, signal);
  }
}
