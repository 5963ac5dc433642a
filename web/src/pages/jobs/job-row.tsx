// One job of the list.

import { memo } from "preact/compat";
import type { Job } from "../../api/types";
import { jobTitle, shortId } from "../../lib/format";
import { reasonWords } from "../../lib/reasons";
import { href } from "../../router";
import { Span, StateBadge, Time } from "../../ui/basics";
import { canSelect } from "./bulk";

interface RowProps {
  job: Job;
  index: number;
  top: number;
  current: boolean;
  /** The one row whose link the Tab key reaches. */
  tabStop: boolean;
  selected: boolean;
  select: (index: number, range: boolean) => void;
}

function Why({ job }: { job: Job }) {
  if (job.status === "pending" && job.waiting) return <span class="jobs-why">{job.waiting}</span>;
  if (job.status === "failed" && job.reason && job.reason !== "cancelled") {
    const exit = job.reason === "exit-nonzero" && job.exitCode ? ` (exit ${job.exitCode})` : "";
    return <span class="jobs-why">{reasonWords(job.reason).short + exit}</span>;
  }
  return null;
}

function Labels({ labels }: { labels: Record<string, string> | null | undefined }) {
  const list = Object.entries(labels ?? {});
  if (list.length === 0) return null;
  return (
    <span class="jobs-labels">
      {list.slice(0, 3).map(([key, value]) => (
        <span key={key} class="chip">
          {key}={value}
        </span>
      ))}
      {list.length > 3 ? <span class="faint">+{list.length - 3}</span> : null}
    </span>
  );
}

function JobRow({ job, index, top, current, tabStop, selected, select }: RowProps) {
  return (
    <div role="row" id={`jobs-row-${index}`} aria-rowindex={index + 2} aria-selected={selected} class={`jobs-row${current ? " jobs-current" : ""}`} style={{ transform: `translateY(${top}px)` }}>
      <span role="gridcell" class="jobs-check">
        {canSelect() ? (
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label={`Select ${job.jobId}`}
            checked={selected}
            onClick={(event) => {
              event.stopPropagation();
              select(index, event.shiftKey);
            }}
          />
        ) : null}
      </span>
      <span role="gridcell" class="jobs-state">
        <StateBadge status={job.status} reason={job.reason} />
      </span>
      <span role="gridcell" class="jobs-what">
        <a href={href("job", job.jobId)} class="jobs-title" tabIndex={tabStop ? 0 : -1}>
          {jobTitle(job)}
        </a>
        <span class="jobs-more">
          <span class="mono faint" title={job.jobId}>
            {shortId(job.jobId)}
          </span>
          <Why job={job} />
          <Labels labels={job.labels} />
        </span>
      </span>
      <span role="gridcell" class="jobs-worker">
        {job.workerId ? <span title={job.workerId}>{job.workerId}</span> : <span class="faint">–</span>}
        {(job.attempt ?? 0) > 1 ? <span class="faint"> · attempt {job.attempt}</span> : null}
      </span>
      <span role="gridcell" class="jobs-when">
        <Time ms={job.createdAt} />
      </span>
      <span role="gridcell" class="jobs-span">
        {job.status === "pending" ? <span class="faint">waits <Span from={job.createdAt} to={null} /></span> : <Span from={job.startedAt} to={job.completedAt} />}
      </span>
    </div>
  );
}

export const Row = memo(JobRow);
