// The attempts of a job; choosing one shows its output.

import type { Attempt, Job } from "../../api/types";
import { reasonWords, sentence } from "../../lib/reasons";
import { href } from "../../router";
import { Span, Time } from "../../ui/basics";

function query(shown: URLSearchParams, attempt: number, last: number): Record<string, string> {
  return { stream: shown.get("stream") ?? "", attempt: attempt === last ? "" : String(attempt) };
}

function Late({ one }: { one: Attempt }) {
  if (!one.lateAt) return null;
  const how = one.lateReason ? reasonWords(one.lateReason).short : `exit ${one.lateExitCode ?? 0}`;
  return <p class="attempt-more">Its result came too late to count, <Time ms={one.lateAt} />: {how}.</p>;
}

export function Attempts({ job, shown, query: here }: { job: Job; shown: number; query: URLSearchParams }) {
  const attempts = [...(job.attempts ?? [])].reverse();
  if (attempts.length < 2 && !attempts[0]?.lateAt) return null;
  return (
    <section class="panel side-panel" aria-label="Attempts">
      <h2>Attempts</h2>
      <ol class="attempts">
        {attempts.map((one) => (
          <li key={one.attempt}>
            <a href={href("job", job.jobId, query(here, one.attempt, job.attempt ?? 0))} aria-current={one.attempt === shown ? "true" : undefined}>
              <span class="attempt-line">
                <strong>{one.attempt}</strong>
                <span class={`badge state-${one.status}`}>{one.status}</span>
                <Span from={one.startedAt} to={one.completedAt} />
              </span>
              {one.status !== "completed" && sentence(one) ? <span class="attempt-more">{sentence(one)}</span> : null}
              {one.workerId ? <span class="attempt-more faint">{one.workerId}</span> : null}
            </a>
            <Late one={one} />
          </li>
        ))}
      </ol>
    </section>
  );
}
