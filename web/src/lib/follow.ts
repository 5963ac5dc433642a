// Follows a growing stream of bytes over connections that break.

import { ApiError, noAnswer, noteStatus } from "../api/client";

const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 5000;

export interface Followed {
  /** Begins reading at an offset. Throws ApiError when refused. */
  open: (offset: number, signal: AbortSignal) => Promise<Response>;
  /** Where to go on. */
  offset: () => number;
  /** A promise is waited for before more is read. */
  take: (bytes: Uint8Array) => void | Promise<void>;
  /** The attempt is over: what a request that begins now brings is all there will be. */
  over: () => boolean;
  /** The stream has ended, or broke: the job's state may have changed. */
  ended?: () => void;
  /** The longest pause between two requests, ms. */
  pauseMaxMs?: number;
}

/** `done`: all is read. `gone`: removed. `none`: there is no such stream. `stopped`: by the signal. */
export type FollowEnd = "done" | "gone" | "none" | "stopped";

/** Waits; until `signal` at most. */
export function pausing(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

async function readAll(response: Response, take: Followed["take"]): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  for (;;) {
    const { value, done } = await reader.read().catch((error: unknown) => {
      throw error instanceof DOMException && error.name === "AbortError" ? error : noAnswer();
    });
    if (done) return;
    await take(value);
  }
}

/** What a refusal means for the following; null: ask again. */
function verdict(error: unknown, over: boolean): FollowEnd | null {
  if (!(error instanceof ApiError) || error.passes) return null;
  if (error.status === 410) return "gone";
  if (error.status === 416) return over ? "done" : null;
  if (error.status === 404) return over ? "none" : null;
  return error.status === 400 ? "none" : null;
}

/** Reads until there is nothing more to come. Nothing is read twice, whatever breaks. */
export async function follow(what: Followed, signal: AbortSignal): Promise<FollowEnd> {
  let pause = 0;
  const stopped = (): boolean => signal.aborted;
  while (!stopped()) {
    const over = what.over();
    const before = what.offset();
    try {
      await readAll(await what.open(before, signal), (bytes) => (stopped() ? undefined : what.take(bytes)));
      if (over && !stopped()) return "done";
    } catch (error) {
      if (stopped()) break;
      const end = verdict(error, over);
      if (end) return end;
      if (error instanceof ApiError && error.status === 0) noteStatus(0);
    }
    what.ended?.();
    pause = what.offset() > before ? PAUSE_FIRST_MS : Math.min(what.pauseMaxMs ?? PAUSE_MAX_MS, Math.max(PAUSE_FIRST_MS, pause * 2));
    await pausing(pause, signal);
  }
  return "stopped";
}
