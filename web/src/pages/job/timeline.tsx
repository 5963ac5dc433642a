// The timeline: where the time went.

import { useRef } from "preact/hooks";
import type { Attempt, Job } from "../../api/types";
import { duration } from "../../lib/format";
import type { LogSource } from "../../lib/logsource";
import { now, Time } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { stepsOf } from "./steps";
import { useSignalValue } from "./follow-signal";

interface Props {
  job: Job;
  attempt: Attempt | null;
  source: LogSource | null;
  running: boolean;
  startedAt: number | null;
}

const STEPS_SHOWN = 60;

/** Why the attempt waited, as the page last heard it. */
function useWaited(job: Job, number: number): string {
  const heard = useRef(new Map<number, string>());
  if (job.status === "pending" && job.waiting) heard.current.set((job.attempt ?? 0) + 1, job.waiting);
  return heard.current.get(number) ?? "";
}

export function Timeline({ job, attempt, source, running, startedAt }: Props) {
  useSignalValue(source?.version); // grows while the attempt runs
  const waited = useWaited(job, attempt?.attempt ?? job.attempt ?? 0);
  const all = stepsOf(job, attempt, source?.journal ?? null, startedAt, waited);
  const steps = all.slice(0, STEPS_SHOWN);
  const first = steps[0]?.from ?? 0;
  const worker = attempt?.workerId ?? job.workerId;
  const open = running || job.status === "pending";
  const doneAt = attempt && attempt.attempt !== job.attempt ? attempt.completedAt : job.completedAt;
  const end = open ? now.value : Math.max(first + 1, ...all.map((step) => step.to ?? step.from), doneAt ?? 0);
  const share = (ms: number): string => `${Math.max(0, Math.min(100, ((ms - first) / Math.max(1, end - first)) * 100))}%`;
  return (
    <section class="panel side-panel" aria-label="Timeline">
      <h2>Timeline</h2>
      <dl class="job-times">
        <div><dt>Submitted</dt><dd><Time ms={job.createdAt} as="clock" /></dd></div>
        {startedAt ? <div><dt>Assigned{worker ? <> to <span class="job-worker">{worker}</span></> : null}</dt><dd><Time ms={startedAt} as="clock" /></dd></div> : null}
        {!open && doneAt ? <div><dt>Done</dt><dd><Time ms={doneAt} as="clock" /></dd></div> : null}
      </dl>
      <ol class="steps">
        {steps.map((step) => (
          <li key={step.key} class={`step step-${step.state}`}>
            <div class="step-line">
              <Icon name={step.state === "running" ? "spin" : step.state === "failed" ? "cross" : "check"} />
              <span class={step.command ? "step-title mono" : "step-title"} title={step.title}>{step.title}</span>
              {step.state === "running" ? <span class="hidden">running</span> : null}
              {step.state === "failed" && step.more ? <span class="hidden">failed</span> : null}
              {step.state === "failed" ? <span class="step-exit">{step.more || "failed"}</span> : null}
              <span class="step-time figure">{duration((step.to ?? now.value) - step.from)}</span>
            </div>
            <div class="step-bar" aria-hidden="true">
              <span style={{ marginLeft: share(step.from), width: `max(3px, calc(${share(step.to ?? now.value)} - ${share(step.from)}))` }} />
            </div>
            {step.state !== "failed" && step.more ? <p class="step-more">{step.more}</p> : null}
          </li>
        ))}
      </ol>
      {all.length > steps.length ? <p class="faint">and {all.length - steps.length} more</p> : null}
    </section>
  );
}
