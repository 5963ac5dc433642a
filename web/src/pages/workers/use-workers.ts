// The list of workers, kept fresh.

import { useEffect, useRef } from "preact/hooks";
import { listWorkers } from "../../api/calls";
import type { Worker } from "../../api/types";
import { useEvents, usePolled, type Polled } from "../../api/use";

const POLL_MS = 3000;
const PAUSE_MS = 500;

/** Asks every few seconds, and soon after something happened to a worker or a job. While many things happen, no call is
 *  given up for the next one, and a long list is asked for less often. */
export function useWorkers(): Polled<{ workers: Worker[] }> {
  const calls = useRef({ open: 0, startedAt: 0, tookMs: 0 }).current;
  const timer = useRef<number | undefined>(undefined);
  const polled = usePolled("workers", POLL_MS, async (signal) => {
    calls.open++;
    calls.startedAt = performance.now();
    try {
      return await listWorkers({ signal });
    } finally {
      calls.open--;
      calls.tookMs = performance.now() - calls.startedAt;
    }
  });
  const { refresh } = polled;
  const soon = (): void => {
    if (timer.current !== undefined) return;
    const since = performance.now() - calls.startedAt;
    const pause = Math.max(PAUSE_MS, calls.tookMs * 3);
    const wait = calls.open > 0 ? PAUSE_MS : Math.max(0, pause - since);
    timer.current = window.setTimeout(() => {
      timer.current = undefined;
      if (calls.open > 0) soon();
      else refresh();
    }, wait);
  };
  useEvents((event) => {
    if (event?.eventType !== "output") soon();
  });
  useEffect(() => () => window.clearTimeout(timer.current), []);
  return polled;
}
