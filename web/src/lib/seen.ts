// Following output while the page is seen. Browsers allow a server few connections, over all tabs: a page out of sight
// gives its own back.

import { follow, type Followed, type FollowEnd } from "./follow";

const HIDDEN_MS = 1500; // a look at another tab and back costs nothing

/** Resolves when the page is seen, or `signal` aborts. */
function seen(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

/** Calls `then` once the page has been out of sight for a while; the returned function forgets it. */
function onceHidden(then: () => void): () => void {
  let timer: number | undefined;
  const look = (): void => {
    window.clearTimeout(timer);
    if (document.hidden) timer = window.setTimeout(then, HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    window.clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

/** As `follow`, without a connection while the page is out of sight: it goes on from `offset` when it is seen again. */
export async function followSeen(what: Followed, signal: AbortSignal): Promise<FollowEnd> {
  for (;;) {
    await seen(signal);
    const sight = new AbortController();
    const forget = onceHidden(() => sight.abort());
    const end = await follow(what, AbortSignal.any([signal, sight.signal])).finally(forget);
    if (end !== "stopped" || signal.aborted) return end;
  }
}
