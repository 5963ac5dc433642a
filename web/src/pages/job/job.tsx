// A job: what it is, where it stands, and everything it printed.

import { useEffect, useState } from "preact/hooks";
import { away } from "../../api/client";
import { useJob } from "../../api/use";
import type { Attempt, Job as JobRecord } from "../../api/types";
import { jobTitle } from "../../lib/format";
import { LogSource } from "../../lib/logsource";
import { showTab } from "../../lib/watch";
import { href, route } from "../../router";
import { Notice, Skeleton } from "../../ui/basics";
import { Attempts } from "./attempts";
import { Certificate } from "./certificate";
import { Details } from "./details";
import { Head } from "./head";
import { Log } from "./log";
import { Resources } from "./resources";
import { Timeline } from "./timeline";
import "./job.css";
import "./log.css";


/** True when nothing more will happen to an attempt. */
function isOver(job: JobRecord, attempt: number): boolean {
  if (job.status === "completed" || job.status === "failed") return true;
  const entry = job.attempts?.find((one) => one.attempt === attempt);
  return entry ? entry.status !== "running" : attempt < (job.attempt ?? 0);
}

/** The output of an attempt, followed while the page is seen. */
function useSource(jobId: string, attempt: number, refresh: () => void): LogSource | null {
  const [source, setSource] = useState<LogSource | null>(null);
  useEffect(() => {
    if (attempt === 0) {
      setSource(null);
      return;
    }
    const made = new LogSource(jobId, attempt, refresh);
    setSource(made);
    made.start();
    return () => made.close();
  }, [jobId, attempt, refresh]);
  return source?.jobId === jobId && source.attempt === attempt ? source : null;
}

function Waiting({ job }: { job: JobRecord }) {
  return (
    <section class="panel log-panel" aria-label="Output">
      <Notice kind="empty" title="No worker has begun it yet.">
        {job.waiting ?? "It waits for a worker."} Its output is shown here as it comes.
      </Notice>
    </section>
  );
}

export default function Job() {
  const { id, query } = route.value;
  const { data: job, error, refresh } = useJob(id);
  const isAway = away.value;
  useEffect(() => {
    showTab(job ? jobTitle(job) : "Job", isAway ? "offline" : (job?.status ?? "idle"), job?.reason);
  }, [job, isAway]);
  const asked = Number(query.get("attempt") ?? "0");
  const last = job?.attempt ?? 0;
  const number = Number.isInteger(asked) && asked > 0 && asked <= last ? asked : last; // one that never was is the last
  const source = useSource(id, job ? number : 0, refresh);
  useEffect(() => {
    if (job && source)
      source.note({
        over: isOver(job, number),
        outputBytes: (job.stdoutBytes ?? 0) + (job.stderrBytes ?? 0),
        journalBytes: number === job.attempt ? (job.journalBytes ?? 0) : 0,
      });
  }, [job, source, number]);

  if (!job && error?.status === 404)
    return (
      <Notice kind="empty" title="There is no such job." action={<a class="button" href={href("jobs")}>All jobs</a>}>
        <code>{id}</code> is not known here. Its record may have been removed with time, or the address has a slip in it.
      </Notice>
    );
  if (!job && error && !error.passes) return <Notice kind="error" title="The job cannot be shown.">{error.message}</Notice>;
  if (!job) return <Skeleton lines={8} />;
  return <Shown key={id} job={job} number={number} source={source} query={query} refresh={refresh} />;
}

interface ShownProps {
  job: JobRecord;
  number: number;
  source: LogSource | null;
  query: URLSearchParams;
  refresh: () => void;
}

function Shown({ job, number, source, query, refresh }: ShownProps) {
  const attempt: Attempt | null = job.attempts?.find((one) => one.attempt === number) ?? null;
  const running = number > 0 && !isOver(job, number);
  const startedAt = attempt?.startedAt ?? (number === job.attempt ? (job.startedAt ?? null) : null);
  return (
    <>
      <Head job={job} refresh={refresh} />
      <p class="hidden" role="status" aria-live="polite">{`The job is ${job.status}.`}</p>
      <div class="job-grid">
        <div class="job-main">
          {job.status === "failed" ? <Certificate job={job} journal={number === job.attempt ? source : null} /> : null}
          {source ? <Log key={number} job={job} attempt={attempt} source={source} running={running} startedAt={startedAt} query={query} /> : <Waiting job={job} />}
        </div>
        <aside class="job-side" aria-label="About the job">
          <Timeline job={job} attempt={attempt} source={source} running={running} startedAt={startedAt} />
          <Attempts job={job} shown={number} query={query} />
          {source ? <Resources source={source} /> : null}
          <Details job={job} />
        </aside>
      </div>
    </>
  );
}
