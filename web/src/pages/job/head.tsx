// The head of a job's page: what it is called, how it stands, what can be done with it.

import type { ComponentChildren } from "preact";
import { cancelJob, runAgain } from "../../api/calls";
import { address } from "../../api/client";
import { may } from "../../api/session";
import type { Job } from "../../api/types";
import { bytes, jobTitle, plural } from "../../lib/format";
import { canNotify, unwatch, watch, watched } from "../../lib/watch";
import { go, href } from "../../router";
import { CopyButton, StateBadge } from "../../ui/basics";
import { useCommands } from "../../ui/commands";
import { confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { Standing } from "../../ui/standing";
import { attempt, toast } from "../../ui/toast";
import { curlOf } from "./urls";

async function cancel(job: Job, refresh: () => void): Promise<void> {
  const running = job.status === "running";
  const text = running ? "Its commands are ended on the worker. What they have printed stays." : "It is not handed out any more.";
  if (!(await confirm("Cancel this job?", text, "Cancel the job", true))) return;
  await attempt(async () => {
    const answer = await cancelJob(job.jobId);
    toast(answer.message ?? "The job is being cancelled.");
  });
  refresh();
}

let repeating = false; // a second press makes no second job

async function again(job: Job): Promise<void> {
  if (repeating) return;
  repeating = true;
  await attempt(async () => go(href("job", await runAgain(job.jobId))));
  repeating = false;
}

function Artifacts({ job }: { job: Job }) {
  if (!job.artifactsUrl && !job.artifactsNote && !job.artifactsGone) return null;
  const size = job.artifactsBytes ? `${plural(job.artifactsCount ?? 0, "file")}, ${bytes(job.artifactsBytes)}` : "";
  return (
    <div class="job-artifacts">
      {job.artifactsGone ? (
        <span><Icon name="warning" /> Housekeeping has removed the artifacts{size ? ` (${size})` : ""}.</span>
      ) : job.artifactsUrl ? (
        <a class="button primary" href={address("api/jobs/artifacts", { jobId: job.jobId })} download={`${job.jobId}-artifacts.zip`}>
          <Icon name="download" /> Download artifacts {size ? <span class="job-size">{size}</span> : null}
        </a>
      ) : null}
      {job.artifactsNote ? <span class="job-missing"><Icon name="warning" /> {job.artifactsNote}</span> : null}
    </div>
  );
}

function Action({ icon, onClick, children, danger }: { icon: Parameters<typeof Icon>[0]["name"]; onClick: () => void; children: ComponentChildren; danger?: boolean }) {
  return (
    <button type="button" class={`button small${danger ? " danger" : ""}`} onClick={onClick}>
      <Icon name={icon} />
      {children}
    </button>
  );
}

export function Head({ job, refresh }: { job: Job; refresh: () => void }) {
  const open = job.status === "pending" || job.status === "running";
  const isWatched = watched.value.includes(job.jobId);
  const toggleWatch = (): void => (isWatched ? unwatch(job.jobId) : void watch(job.jobId));
  const change = (): void => go(href("run", "", { from: job.jobId }));
  useCommands([
    ...(open && may("cancel") ? [{ id: "job-cancel", title: "Cancel this job", group: "Job", run: () => void cancel(job, refresh) }] : []),
    ...(may("submit")
      ? [
          { id: "job-again", title: "Run this job again", keys: "r", group: "Job", run: () => void again(job) },
          { id: "job-change", title: "Run again with changes", keys: "e", group: "Job", run: change },
        ]
      : []),
  ]);
  return (
    <header class="job-head">
      <div class="job-title">
        <h1>{jobTitle(job)}</h1>
        <StateBadge status={job.status} reason={job.reason} />
      </div>
      <p class="job-standing"><Standing job={job} /></p>
      <p class="job-line">
        <code>{job.jobId}</code>
        <CopyButton text={job.jobId} label="Copy the id" compact />
        {job.workerId ? <span>on <a href={href("workers", "", { worker: job.workerId })}>{job.workerId}</a></span> : null}
      </p>
      <div class="job-actions">
        {open && may("cancel") ? <Action icon="stop" danger onClick={() => void cancel(job, refresh)}>Cancel</Action> : null}
        {may("submit") ? (
          <>
            <Action icon="again" onClick={() => void again(job)}>Run again</Action>
            <Action icon="edit" onClick={change}>Run with changes</Action>
          </>
        ) : null}
        {open ? (
          <button type="button" class="button small" aria-pressed={isWatched} onClick={toggleWatch} title={canNotify.value ? "The browser says when it is over" : "This page says when it is over, while it is open: the browser does not let it notify"}>
            <Icon name="bell" />{isWatched ? (canNotify.value ? "Watching" : "Watching, in this page only") : "Watch"}
          </button>
        ) : null}
        {may("submit") ? <CopyButton text={() => curlOf(job, address("api/jobs/create"))} label="Copy as curl" /> : null}
      </div>
      <Artifacts job={job} />
    </header>
  );
}
