// Waits for news of a job: an event tells of it, or some time has passed.

import { listen } from "../../api/live";
import { pausing } from "../../lib/follow";

const AGAIN_MS = 2000;
const AGAIN_HIDDEN_MS = 10_000; // there are no events while the page is out of sight

/** Open until `close` is called. */
export class Ear {
  private heard = false;
  private wake = new AbortController();
  readonly close: () => void;

  constructor(jobId: string) {
    this.close = listen((event) => {
      if (event !== null && (event.eventType !== "job" || event.jobId !== jobId)) return;
      this.heard = true;
      this.wake.abort();
    });
  }

  /** Resolves at once when something was heard since the last call. */
  async news(signal: AbortSignal): Promise<void> {
    if (!this.heard) {
      this.wake = new AbortController();
      await pausing(document.hidden ? AGAIN_HIDDEN_MS : AGAIN_MS, AbortSignal.any([signal, this.wake.signal]));
    }
    this.heard = false;
  }
}
