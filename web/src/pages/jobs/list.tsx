// The rows that are in sight, of as many as there are.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Job } from "../../api/types";
import { canSelect } from "./bulk";
import type { JobRows } from "./use-jobs";
import { Row } from "./job-row";

const ROW_PX = 56;
const PHONE_ROW_PX = 84;
const BEYOND = 8; // rows drawn above and below what is seen
const AHEAD = 40; // rows before the end at which more are read

interface ListProps {
  jobs: JobRows;
  at: number;
  selected: ReadonlySet<string>;
  select: (index: number, range: boolean) => void;
  selectAll: (on: boolean) => void;
  onKey: (event: KeyboardEvent) => void;
}

/** Who has scrolled down goes on seeing the same jobs when new ones come in front. */
function useAnchor(box: { current: HTMLDivElement | null }, rows: readonly Job[], rowPx: number): void {
  const before = useRef<string | null>(null);
  useLayoutEffect(() => {
    const front = before.current;
    before.current = rows[0]?.jobId ?? null;
    if (front === null || front === before.current || !box.current || box.current.scrollTop < rowPx) return;
    const added = rows.findIndex((job) => job.jobId === front);
    if (added > 0) box.current.scrollTop += added * rowPx;
  }, [box, rows, rowPx]);
}

const phone = matchMedia("(max-width: 720px)");

function Head({ all, selectAll }: { all: boolean; selectAll: (on: boolean) => void }) {
  return (
    <div role="row" aria-rowindex={1} class="jobs-head">
      <span role="columnheader" class="jobs-check">
        {canSelect() ? <input type="checkbox" aria-label="Select all jobs read so far" checked={all} onChange={(event) => selectAll(event.currentTarget.checked)} /> : null}
      </span>
      <span role="columnheader" class="jobs-state">State</span>
      <span role="columnheader" class="jobs-what">Job</span>
      <span role="columnheader" class="jobs-worker">Worker</span>
      <span role="columnheader" class="jobs-when">Created</span>
      <span role="columnheader" class="jobs-span">Ran</span>
    </div>
  );
}

export function JobList({ jobs, at, selected, select, selectAll, onKey }: ListProps) {
  const box = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  const rowPx = phone.matches ? PHONE_ROW_PX : ROW_PX;
  const first = Math.max(0, Math.floor(view.top / rowPx) - BEYOND);
  const last = Math.min(jobs.rows.length, Math.ceil((view.top + view.height) / rowPx) + BEYOND);
  const look = (): void => {
    const element = box.current;
    if (!element) return;
    setView({ top: element.scrollTop, height: element.clientHeight });
  };
  useEffect(() => {
    const size = new ResizeObserver(look);
    if (box.current) size.observe(box.current);
    return () => size.disconnect();
  }, []);
  const { more, busy, paused, error, readMore } = jobs;
  useEffect(() => {
    if (more && !busy && !paused && !error && last + AHEAD >= jobs.rows.length) readMore();
  }, [last, more, busy, paused, error, jobs.rows.length, readMore]);
  useAnchor(box, jobs.rows, rowPx);
  const current = jobs.rows[at]?.jobId ?? "";
  const brought = useRef(""); // into sight; rows in front of it are no reason to bring it again
  useEffect(() => {
    const element = box.current;
    if (!element || at < 0 || brought.current === current) return;
    brought.current = current;
    const above = at * rowPx - element.scrollTop;
    if (above < 0) element.scrollTop = at * rowPx;
    else if (above + rowPx > element.clientHeight) element.scrollTop = (at + 1) * rowPx - element.clientHeight;
  }, [at, current, rowPx]);
  const all = jobs.rows.length > 0 && jobs.rows.every((job) => selected.has(job.jobId));
  return (
    <div role="grid" tabIndex={0} onKeyDown={onKey} aria-activedescendant={at >= first && at < last ? `jobs-row-${at}` : undefined} aria-label="Jobs" aria-rowcount={jobs.more ? -1 : jobs.rows.length + 1} aria-multiselectable={canSelect()} class="jobs-grid">
      <div role="rowgroup">
        <Head all={all} selectAll={selectAll} />
      </div>
      <div ref={box} role="rowgroup" class="jobs-rows" onScroll={look}>
        <div class="jobs-space" style={{ height: `${jobs.rows.length * rowPx}px` }}>
          {jobs.rows.slice(first, last).map((job, place) => (
            <Row key={job.jobId} job={job} index={first + place} top={(first + place) * rowPx} current={first + place === at} tabStop={first + place === (at < first || at >= last ? Math.min(first + BEYOND, last - 1) : at)} selected={selected.has(job.jobId)} select={select} />
          ))}
        </div>
      </div>
    </div>
  );
}
