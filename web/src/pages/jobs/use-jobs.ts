// The rows of the list: read page by page, kept fresh by events.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { listJobs } from "../../api/calls";
import { ApiError } from "../../api/client";
import { useEvents } from "../../api/use";
import type { Job, JobEvent, JobFilter } from "../../api/types";
import { addEvents, addNewest, addPage, isCapped, ROWS_MAX } from "../../lib/job-list";

const PAGE = 100;
const EMPTY_PAGES_MAX = 10; // of a search, one after the other, before the user is asked
const FLUSH_MS = 250;
const NEWEST_MS = 1000;
const RETRY_MS = 1500;

export interface JobRows {
  rows: Job[];
  total: number | null;
  /** Reading further back now. */
  busy: boolean;
  error: ApiError | null;
  /** There may be more behind the last row. */
  more: boolean;
  /** There is more, but no more rows are held. */
  capped: boolean;
  /** A search has looked far without a find: it goes on when `readMore` is called. */
  paused: boolean;
  readMore: () => void;
}

interface State {
  rows: Job[];
  total: number | null;
  cursor: string | null;
  first: boolean; // nothing was read yet
  busy: boolean;
  paused: boolean;
  error: ApiError | null;
}

const nothing: State = { rows: [], total: null, cursor: null, first: true, busy: false, paused: false, error: null };

const failure = (error: unknown): ApiError => (error instanceof ApiError ? error : new ApiError(String(error), "PAGE", 0));

/** `key` names the filter: another key begins anew. */
export function useJobs(key: string, filter: () => JobFilter): JobRows {
  const [state, setState] = useState<State>(nothing);
  const now = useRef(state);
  const asking = useRef(filter);
  const abort = useRef(new AbortController());
  const reading = useRef(false);
  asking.current = filter;

  const set = useCallback((change: Partial<State>) => {
    now.current = { ...now.current, ...change };
    setState(now.current);
  }, []);

  const readMore = useCallback(() => {
    const { signal } = abort.current;
    const read = async (): Promise<void> => {
      for (let empty = 0; empty < EMPTY_PAGES_MAX; empty++) {
        const page = await listJobs(asking.current(), PAGE, now.current.cursor, { signal });
        if (signal.aborted) return;
        set({ rows: addPage(now.current.rows, page.jobs), total: page.total, cursor: page.cursor ?? null, first: false, error: null });
        if (page.jobs.length > 0 || !page.cursor) return;
      }
      set({ paused: true });
    };
    if (reading.current || (!now.current.first && !now.current.cursor)) return;
    reading.current = true;
    set({ busy: true, paused: false });
    void read()
      .catch((error: unknown) => {
        if (!signal.aborted) set({ error: failure(error) });
      })
      .finally(() => {
        if (signal.aborted) return;
        reading.current = false;
        set({ busy: false });
      });
  }, [set]);

  useEffect(() => {
    abort.current.abort();
    abort.current = new AbortController();
    reading.current = false;
    now.current = nothing;
    setState(nothing);
    readMore();
    return () => abort.current.abort();
  }, [key, readMore]);

  useEffect(() => {
    if (!state.error?.passes) return;
    const timer = window.setTimeout(readMore, RETRY_MS);
    return () => window.clearTimeout(timer);
  }, [state.error, readMore]);

  useFreshRows(now, set, asking);
  const more = state.first || (state.cursor !== null && state.rows.length < ROWS_MAX);
  const capped = isCapped(state.rows.length, state.total, state.cursor);
  return { rows: state.rows, total: state.total, busy: state.busy, error: state.error, more, capped, paused: state.paused, readMore };
}

/** Merges what events tell, some times a second; new jobs are asked for, once a second at most. */
function useFreshRows(now: { current: State }, set: (change: Partial<State>) => void, asking: { current: () => JobFilter }): void {
  const events = useRef<JobEvent[]>([]);
  const stale = useRef(false);
  const anew = useRef(false); // anything may have changed, in every row
  const asked = useRef(0);
  useEvents((event) => {
    if (event === null) stale.current = anew.current = true;
    else if (event.eventType === "job") events.current.push(event);
  });
  useEffect(() => {
    const newest = async (): Promise<void> => {
      asked.current = Date.now();
      const all = anew.current;
      stale.current = anew.current = false;
      const page = await listJobs(asking.current(), PAGE).catch(() => null);
      if (!page) {
        stale.current = true;
        anew.current ||= all;
      }
      if (!page || now.current.first) return;
      const rows = all ? null : addNewest(now.current.rows, page.jobs, Boolean(page.cursor));
      if (rows) set({ rows, total: page.total });
      else set({ rows: page.jobs, total: page.total, cursor: page.cursor ?? null });
    };
    const timer = window.setInterval(() => {
      if (events.current.length > 0) {
        const { rows, unknown } = addEvents(now.current.rows, events.current, asking.current());
        events.current = [];
        stale.current ||= unknown;
        set({ rows });
      }
      if (stale.current && !now.current.first && Date.now() - asked.current > NEWEST_MS) void newest();
    }, FLUSH_MS);
    return () => window.clearInterval(timer);
  }, [now, set, asking]);
}
