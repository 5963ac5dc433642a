// All jobs, newest first: narrowed, live, and changed many at a time.

import { useCallback, useMemo, useState } from "preact/hooks";
import { serverNow } from "../../api/client";
import { may } from "../../api/session";
import { count } from "../../lib/format";
import { endWords, everything, filterOf, idsBetween, isNarrowed, readWanted, writeWanted, type Wanted } from "../../lib/job-list";
import { go, href, route, setQuery } from "../../router";
import { Notice, Skeleton, Time } from "../../ui/basics";
import { useCommands } from "../../ui/commands";
import { BulkBar, canSelect, useBulk } from "./bulk";
import { Filters } from "./filters";
import { JobList } from "./list";
import { useJobs, type JobRows } from "./use-jobs";
import "./jobs.css";

function Nothing({ jobs, wanted, clear }: { jobs: JobRows; wanted: Wanted; clear: () => void }) {
  if (jobs.error && !jobs.error.passes)
    return (
      <Notice kind="error" title="The jobs could not be listed.">
        {jobs.error.message}
      </Notice>
    );
  if (jobs.more && !jobs.paused) return <Skeleton lines={8} />;
  if (isNarrowed(wanted))
    return (
      <Notice kind="empty" title={jobs.paused ? "Nothing found so far." : "No job fits this."} action={<button type="button" class="button" onClick={clear}>Show all jobs</button>}>
        {jobs.paused ? "The search has looked at many jobs and can go on further back." : "Change the filter, or show all."}
      </Notice>
    );
  return (
    <Notice kind="empty" title="No job has been submitted yet." action={may("submit") ? <a class="button primary" href={href("run")}>Run something</a> : undefined}>
      A job is a ZIP and some commands. It runs on a worker, and what it prints comes back.
    </Notice>
  );
}

function Foot({ jobs }: { jobs: JobRows }) {
  const last = jobs.rows.at(-1);
  if (jobs.paused)
    return (
      <p class="jobs-foot">
        Searched beyond <Time ms={last?.createdAt} as="clock" /> without another find.{" "}
        <button type="button" class="button small" onClick={jobs.readMore}>
          Search further back
        </button>
      </p>
    );
  if (jobs.error) return <p class="jobs-foot field-error" role="alert">{jobs.error.message}</p>;
  if (!jobs.more && jobs.rows.length > 0) return <p class="jobs-foot faint">{endWords(jobs.rows.length, jobs.capped)}</p>;
  return <p class="jobs-foot faint">{jobs.busy ? "Reading further back …" : `${count(jobs.rows.length)} read so far.`}</p>;
}

/** Which row has the keyboard, and which are selected. */
function useSelection(jobs: JobRows) {
  // By id: rows come in front of them at any time.
  const [current, setCurrent] = useState("");
  const [anchor, setAnchor] = useState("");
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const { rows } = jobs;
  const at = useMemo(() => rows.findIndex((job) => job.jobId === current), [rows, current]);
  const select = useCallback(
    (index: number, range: boolean): void => {
      const id = rows[index]?.jobId;
      if (!id) return;
      const next = new Set(selected);
      const on = !selected.has(id);
      const from = rows.findIndex((job) => job.jobId === anchor);
      for (const one of range && from >= 0 ? idsBetween(rows, from, index) : [id]) {
        if (on || range) next.add(one);
        else next.delete(one);
      }
      setSelected(next);
      setAnchor(id);
      setCurrent(id);
    },
    [rows, selected, anchor],
  );
  const move = (by: number): void => setCurrent(rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.jobId ?? "");
  const selectAll = (on: boolean): void => setSelected(new Set(on ? rows.map((job) => job.jobId) : []));
  const open = (): void => {
    const id = rows[at]?.jobId;
    if (id) go(href("job", id));
  };
  return { at, selected, select, move, selectAll, open };
}

export default function Jobs() {
  const wanted = readWanted(route.value.query);
  const change = useCallback((next: Wanted) => setQuery(writeWanted(next)), []);
  const key = JSON.stringify(wanted);
  const jobs = useJobs(key, () => filterOf(wanted, serverNow()));
  const { at, selected, select, move, selectAll, open } = useSelection(jobs);
  const chosen = useMemo(() => jobs.rows.filter((job) => selected.has(job.jobId)), [jobs.rows, selected]);
  const bulk = useBulk(chosen);
  useCommands([
    { id: "jobs-search", title: "Search jobs", keys: "/", group: "Jobs", run: () => document.getElementById("filter-text")?.focus() },
    { id: "jobs-next", title: "Next job", keys: "j", group: "Jobs", run: () => move(1) },
    { id: "jobs-before", title: "Job before", keys: "k", group: "Jobs", run: () => move(-1) },
    { id: "jobs-open", title: "Open the job", keys: "o", group: "Jobs", run: open },
    ...(canSelect() ? [{ id: "jobs-select", title: "Select the job", keys: "x", group: "Jobs", run: () => select(at, false) }] : []),
    ...(may("cancel") ? [{ id: "jobs-cancel", title: "Cancel selected jobs", keys: "c", group: "Jobs", run: bulk.cancel }] : []),
    ...(may("submit") ? [{ id: "jobs-again", title: "Run selected jobs again", keys: "r", group: "Jobs", run: bulk.again }] : []),
    ...(canSelect() ? [{ id: "jobs-clear", title: "Clear the selection", keys: "Escape", group: "Jobs", run: () => selectAll(false) }] : []),
  ]);
  const pressed = (event: KeyboardEvent): void => {
    if (event.target !== event.currentTarget) return; // a checkbox's or a link's own key
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (step) move(step);
    else if (event.key === "Enter") open();
    else if (event.key === " " && canSelect()) select(at, event.shiftKey);
    else return;
    event.preventDefault();
  };
  return (
    <>
      <div class="page-head">
        <h1>Jobs</h1>
        {jobs.total === null ? null : <span class="faint figure">{count(jobs.total)} in all</span>}
      </div>
      <Filters wanted={wanted} change={change} />
      {chosen.length > 0 ? <BulkBar chosen={chosen} bulk={bulk} clear={() => selectAll(false)} /> : null}
      {jobs.rows.length > 0 ? (
        <JobList jobs={jobs} at={at} selected={selected} select={select} selectAll={selectAll} onKey={pressed} />
      ) : (
        <Nothing jobs={jobs} wanted={wanted} clear={() => change(everything)} />
      )}
      {jobs.rows.length > 0 || jobs.paused ? <Foot jobs={jobs} /> : null}
    </>
  );
}
