// What was asked for.

import type { ComponentChildren } from "preact";
import type { Job } from "../../api/types";
import { bytes, count, duration } from "../../lib/format";
import { Time } from "../../ui/basics";

function Pairs({ map }: { map: Record<string, string> }) {
  return <>{Object.entries(map).map(([name, value]) => <span key={name} class="chip">{name}={value}</span>)}</>;
}

const filled = (map: Record<string, string> | null | undefined): map is Record<string, string> => map != null && Object.keys(map).length > 0;

const MIB = 1024 * 1024;

/** What the job may use, as far as it said so. */
function limitsOf(job: Job): string {
  const parts = [
    job.memoryMb ? `${bytes(job.memoryMb * MIB)} of memory` : "",
    job.cpus ? `${job.cpus} processors` : "",
    job.diskMb ? `${bytes(job.diskMb * MIB)} of disk` : "",
    job.pids ? `${count(job.pids)} processes` : "",
  ];
  return parts.filter(Boolean).join(", ");
}

/** What its last attempt has used. */
function usageOf(job: Job): string {
  const parts = [
    job.cpuMs != null ? `${duration(job.cpuMs)} of CPU time` : "",
    job.memoryPeakBytes ? `${bytes(job.memoryPeakBytes)} of memory` : "",
    job.pidsPeak ? `${count(job.pidsPeak)} processes at once` : "",
  ];
  return parts.filter(Boolean).join(", ");
}

export function Details({ job }: { job: Job }) {
  const rows: [string, ComponentChildren][] = [];
  if (job.filename) rows.push(["Project", job.deltaUrl ? `${job.filename}, and what had changed since it was sent` : job.filename]);
  if (filled(job.labels)) rows.push(["Labels", <Pairs map={job.labels} />]);
  if (filled(job.requires)) rows.push(["Requires", <Pairs map={job.requires} />]);
  if (job.directWorker) rows.push(["Only on", <span class="chip">{job.directWorker}</span>]);
  if (filled(job.env)) rows.push(["Environment", <Pairs map={job.env} />]);
  if (job.artifacts?.length) rows.push(["Artifacts", job.artifacts.map((glob) => <span key={glob} class="chip">{glob}</span>)]);
  if (job.owner) rows.push(["Owner", job.owner]);
  if (job.secretNames?.length) rows.push(["Secrets", job.secretNames.map((name) => <span key={name} class="chip">{name}</span>)]);
  if (job.image) rows.push(["Image", job.image]);
  if (job.network === "none") rows.push(["Network", "none"]);
  if (limitsOf(job)) rows.push(["May use", limitsOf(job)]);
  if (usageOf(job)) rows.push(["Has used", usageOf(job)]);
  if (job.priority) rows.push(["Priority", job.priority]);
  if (job.timeoutMs) rows.push(["Timeout", duration(job.timeoutMs)]);
  if (job.maxAttempts) rows.push(["Attempts", `at most ${job.maxAttempts}`]);
  if (job.retryOnExit?.length) rows.push(["Retried on exit", job.retryOnExit.join(", ")]);
  if (job.onError === "continue") rows.push(["On error", "goes on with the next command"]);
  if (job.notBefore && job.status === "pending") rows.push(["Not before", <Time ms={job.notBefore} as="clock" />]);
  return (
    <section class="panel side-panel" aria-label="Details">
      <h2>Details</h2>
      <dl class="details">{rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      <details>
        <summary>Commands</summary>
        <pre class="details-command">{job.command}</pre>
      </details>
    </section>
  );
}
