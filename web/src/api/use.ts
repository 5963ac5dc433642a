// Hooks that keep what the API says fresh.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { getJob } from "./calls";
import { ApiError } from "./client";
import { listen } from "./live";
import type { GleanerEvent, Job } from "./types";

export interface Polled<T> {
  /** The last answer; stays while later calls fail. */
  data: T | null;
  /** How the last call failed; null when it did not. */
  error: ApiError | null;
  /** Asks now. */
  refresh: () => void;
}

const RETRY_MS = 1500;
const HIDDEN_MS = 10_000; // a tab out of sight still has a title and an icon to keep true

/** Calls `ask` now, every `everyMs`, less often while the page is out of sight, sooner after a failure that passes.
 *  `key` names what is asked for: another key forgets the old answer. */
export function usePolled<T>(key: string, everyMs: number, ask: (signal: AbortSignal) => Promise<T>): Polled<T> {
  const [state, setState] = useState<{ key: string; data: T | null; error: ApiError | null }>({ key, data: null, error: null });
  const asking = useRef(ask);
  asking.current = ask;
  const kick = useRef<() => void>(() => undefined);
  useEffect(() => {
    let timer: number | undefined;
    let abort = new AbortController();
    let over = false;
    const round = async (): Promise<void> => {
      window.clearTimeout(timer);
      abort.abort();
      const mine = (abort = new AbortController());
      let wait = everyMs;
      try {
        const data = await asking.current(mine.signal);
        if (!mine.signal.aborted) setState({ key, data, error: null });
      } catch (error) {
        if (mine.signal.aborted) return;
        const failure = error instanceof ApiError ? error : new ApiError(String(error), "PAGE", 0);
        setState((old) => ({ key, data: old.key === key ? old.data : null, error: failure }));
        if (failure.passes) wait = Math.min(everyMs, RETRY_MS);
      }
      if (document.hidden) wait = Math.max(wait, HIDDEN_MS);
      if (!over && !mine.signal.aborted) timer = window.setTimeout(() => void round(), wait);
    };
    kick.current = () => void round();
    const shown = (): void => {
      if (!document.hidden) void round();
    };
    document.addEventListener("visibilitychange", shown);
    void round();
    return () => {
      over = true;
      abort.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
      kick.current = noKick;
    };
  }, [key, everyMs]);
  const refresh = useCallback(() => kick.current(), []);
  return state.key === key ? { data: state.data, error: state.error, refresh } : { data: null, error: null, refresh };
}

const noKick = (): void => undefined;

/** Hears events while the component is there. `heard` may change from one rendering to the next. */
export function useEvents(heard: (event: GleanerEvent | null) => void): void {
  const current = useRef(heard);
  current.current = heard;
  useEffect(() => listen((event) => current.current(event)), []);
}

const OPEN_MS = 2000;
const OVER_MS = 60_000;

/** A job's record, asked for again whenever an event tells of it; rarely once it is over, or refused for good. */
export function useJob(jobId: string): Polled<Job> {
  const [over, setOver] = useState(false);
  const polled = usePolled(jobId, over ? OVER_MS : OPEN_MS, (signal) => getJob(jobId, { signal }));
  const { data: job, error, refresh } = polled;
  useEvents((event) => {
    if (event === null || (event.eventType === "job" && event.jobId === jobId)) refresh();
  });
  useEffect(() => setOver(job?.status === "completed" || job?.status === "failed" || (error !== null && !error.passes && error.status < 500)), [job, error]);
  return polled;
}
