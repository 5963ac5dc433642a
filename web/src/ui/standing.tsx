// How a job stands, in words: why it waits, since when it runs, how it ended.

import type { Job } from "../api/types";
import { sentence } from "../lib/reasons";
import { Span, Time } from "./basics";

/** In one line. */
export function Standing({ job }: { job: Job }) {
  if (job.status === "pending") return <>{job.waiting ?? "It waits for a worker."} Submitted <Time ms={job.createdAt} />.</>;
  if (job.status === "running") return <>Running for <Span from={job.startedAt} to={null} />{job.attempt && job.attempt > 1 ? `, attempt ${job.attempt}` : ""}.</>;
  const took = job.startedAt ? <>, after <Span from={job.startedAt} to={job.completedAt} /></> : null;
  if (job.status === "completed") return <>Completed <Time ms={job.completedAt} />{took}.</>;
  return <>{sentence(job) || "It failed."} Ended <Time ms={job.completedAt} />{took}.</>;
}
