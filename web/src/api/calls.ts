// The calls by name, so that a page reads as what it wants.

import { get, post, type CallOptions } from "./client";
import type { Info, Job, JobFilter, JobPage, JobRequest, Stats, StatsRange, Worker, WorkerActivity } from "./types";

export const getInfo = (options?: CallOptions) => get<Info>("api/info", {}, options);
export const getJob = (jobId: string, options?: CallOptions) => get<Job>("api/jobs/status", { jobId }, options);
export const listJobs = (filter: JobFilter, limit: number, cursor?: string | null, options?: CallOptions) =>
  get<JobPage>("api/jobs", { ...filter, limit, cursor, brief: 1 }, options);
export const cancelJob = (jobId: string) =>
  post<{ jobId: string; status?: string; alreadyOver?: boolean; message?: string }>("api/jobs/cancel", { jobId });
export const createJob = (request: JobRequest, idempotencyKey: string, options?: CallOptions) =>
  post<{ jobId: string; repeated?: boolean }>("api/jobs/create", { ...request, idempotencyKey }, options);
export const listWorkers = (options?: CallOptions) => get<{ workers: Worker[] }>("api/workers/list", {}, options);
export const getActivity = (options?: CallOptions) => get<WorkerActivity>("api/workers/activity", {}, options);
export const drainWorker = (workerId: string) => post("api/workers/drain", { workerId });
export const resumeWorker = (workerId: string) => post("api/workers/resume", { workerId });
export const getStats = (range: StatsRange, options?: CallOptions) => get<Stats>("api/stats", { range }, options);

/** 128 bits of random as 32 hex digits: names of uploads, idempotency keys. */
export function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The request that makes the same job again; throws for one with secrets. */
export function requestAgain(job: Job): JobRequest {
  if (job.secretNames?.length) throw new Error(`Nobody can read its secrets back (${job.secretNames.join(", ")}): submit it anew, with them.`);
  const keep = <T>(value: T | null | undefined): T | undefined => value ?? undefined;
  const request: Partial<Record<keyof JobRequest, unknown>> = {
    command: job.command ?? "",
    fileUrl: job.fileUrl ?? "",
    filename: job.filename ?? "",
    timeoutMs: keep(job.timeoutMs),
    maxAttempts: keep(job.maxAttempts),
    name: keep(job.name),
    priority: keep(job.priority),
    env: keep(job.env),
    onError: keep(job.onError),
    artifacts: keep(job.artifacts),
    labels: keep(job.labels),
    // A direct job's worker was chosen by its machine; the same job again is for the same worker, and waits for it.
    requires: job.directWorker ? { ...job.requires, worker: job.directWorker } : keep(job.requires),
    retryOnExit: keep(job.retryOnExit),
    backoffMs: keep(job.backoffMs),
    network: keep(job.network),
    image: keep(job.image),
    memoryMb: keep(job.memoryMb),
    cpus: keep(job.cpus),
    diskMb: keep(job.diskMb),
    pids: keep(job.pids),
    deltaUrl: keep(job.deltaUrl),
  };
  return request as JobRequest;
}

/** Submits the same job again; the new job's id. */
export async function runAgain(jobId: string): Promise<string> {
  return (await createJob(requestAgain(await getJob(jobId)), randomId())).jobId;
}
