// Tries again what may succeed later, with pauses that double. The user, or the network's return, can cut a pause short.

import { ApiError } from "../api/client";

export interface Timer {
  now(): number;
  /** Calls `then` after `ms`; the returned function forgets it. */
  after(ms: number, then: () => void): () => void;
}

export const realTimer: Timer = {
  now: () => performance.now(),
  after: (ms, then) => {
    const timer = window.setTimeout(then, ms);
    return () => window.clearTimeout(timer);
  },
};

/** A pause before the next try. */
export interface Waiting {
  /** What the server said; "" when nothing was heard. */
  why: string;
  /** The next try, by the timer. */
  until: number;
}

const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 10_000;
const FAULTS_MAX = 5;

function stopped(): Error {
  return new DOMException("stopped", "AbortError");
}

export class Retrier {
  private failures = 0;
  private cut: (() => void) | null = null;

  constructor(
    private readonly signal: AbortSignal,
    private readonly tell: (waiting: Waiting | null) => void,
    private readonly timer: Timer = realTimer,
    private readonly random: () => number = Math.random,
  ) {}

  /** Does something until it succeeds, or fails in a way that does not pass, or the signal aborts. */
  async keep<T>(action: () => Promise<T>): Promise<T> {
    for (;;) {
      this.signal.throwIfAborted();
      try {
        const result = await action();
        if (this.failures) this.tell(null);
        this.failures = 0;
        return result;
      } catch (error) {
        this.signal.throwIfAborted();
        if (!this.passes(error)) throw error;
        await this.pause(error as ApiError);
      }
    }
  }

  /** Tries now instead of waiting on. */
  kick(): void {
    this.cut?.();
  }

  private passes(error: unknown): boolean {
    if (!(error instanceof ApiError)) return false;
    // A fault of the server's own may be gone next time, or be there for good.
    return error.passes || (error.status === 500 && this.failures < FAULTS_MAX);
  }

  private pause(error: ApiError): Promise<void> {
    const full = Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 2 ** Math.min(this.failures++, 10));
    const ms = full * (0.75 + this.random() / 4);
    return new Promise((resolve, reject) => {
      const end = (): void => {
        forget();
        this.cut = null;
        this.signal.removeEventListener("abort", stop);
        resolve();
      };
      const stop = (): void => {
        end();
        reject(stopped());
      };
      const forget = this.timer.after(ms, end);
      this.cut = end;
      this.signal.addEventListener("abort", stop);
      this.tell({ why: error.status === 0 ? "" : error.message, until: this.timer.now() + ms });
    });
  }
}
