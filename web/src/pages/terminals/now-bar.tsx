// The job that a tab shows now: how it stands, why it waits, and the way out of it.

import { useState } from "preact/hooks";
import { cancelJob, getJob } from "../../api/calls";
import { useEvents, useJob, usePolled } from "../../api/use";
import { jobTitle, plural } from "../../lib/format";
import { each, isOver } from "../../lib/job-list";
import { href } from "../../router";
import { StateBadge } from "../../ui/basics";
import { confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { Standing } from "../../ui/standing";
import { attempt, toast } from "../../ui/toast";

interface NowProps {
  jobId: string;
  /** Those whose output comes after its. */
  behind: readonly string[];
}

const AT_ONCE = 6;
const BEHIND_MS = 30_000; // events tell of most ends
/** Jobs that are over, or that were cancelled from here: nothing more to cancel of them. */
const done = new Set<string>();

const look = async (jobId: string, signal: AbortSignal): Promise<void> => {
  if (isOver(await getJob(jobId, { signal }))) done.add(jobId);
};

/** Those of the jobs that can still be cancelled, once that is known. */
function useOpen(jobIds: readonly string[]): readonly string[] {
  const [, draw] = useState(0);
  const { data: known } = usePolled(jobIds.join(" "), BEHIND_MS, async (signal) => {
    const asked = jobIds.filter((jobId) => !done.has(jobId));
    const unknown = await each(asked, AT_ONCE, (jobId) => look(jobId, signal), () => undefined);
    return asked.filter((jobId) => !unknown.has(jobId));
  });
  useEvents((event) => {
    if (event?.eventType !== "job" || !jobIds.includes(event.jobId) || !isOver(event)) return;
    done.add(event.jobId);
    draw((before) => before + 1);
  });
  return (known ?? []).filter((jobId) => !done.has(jobId));
}

/** What became of the cancelling of several jobs. */
export function cancelSummary(all: number, over: number, failures: ReadonlyMap<string, string>): string {
  const parts = [`${plural(all - over - failures.size, "job")} cancelled`];
  if (over) parts.push(`${over} ${over === 1 ? "was" : "were"} over already`);
  const [first] = failures;
  if (first) parts.push(`${failures.size} failed (${first[0]}: ${first[1]})`);
  return `${parts.join(", ")}.`;
}

async function cancelAll(jobIds: readonly string[]): Promise<void> {
  const text = "What runs of them is ended on its worker; what waits is not handed out any more.";
  if (!(await confirm(`Cancel the ${plural(jobIds.length, "command")} behind this one?`, text, "Cancel them", true))) return;
  let over = 0;
  const cancel = async (jobId: string): Promise<void> => {
    if ((await cancelJob(jobId)).alreadyOver) over++;
    done.add(jobId);
  };
  const failures = await each(jobIds, AT_ONCE, cancel, () => undefined);
  toast(cancelSummary(jobIds.length, over, failures), failures.size ? "error" : "done");
}

export function NowBar({ jobId, behind }: NowProps) {
  const { data: job, error, refresh } = useJob(jobId);
  const [, draw] = useState(0);
  const left = useOpen(behind);
  const gone = error?.status === 404;
  const open = job !== null && !gone && !isOver(job);
  const cancel = (): void => {
    void attempt(async () => toast((await cancelJob(jobId)).message ?? "The job is being cancelled.")).then(refresh);
  };
  const dropBehind = (): void => void cancelAll(left).then(() => draw((before) => before + 1));
  const refused = !job && error && !error.passes ? `The job cannot be shown: ${error.message}` : null;
  const why = gone ? "The job is no longer known." : refused;
  return (
    <div class="tab-now" role="group" aria-label="The job shown now">
      {job ? <StateBadge status={job.status} reason={job.reason} /> : null}
      <code class="tab-now-title">{job ? jobTitle(job) : jobId}</code>
      <span class="tab-now-standing">{why ?? (job ? <Standing job={job} /> : null)}</span>
      <span class="hidden" role="status">{why ?? (job ? `The job is ${job.status}. ${job.status === "pending" ? (job.waiting ?? "") : ""}` : "")}</span>
      <span class="tab-now-actions">
        {open ? (
          <button type="button" class="button small danger" onClick={cancel}>
            <Icon name="stop" /> Cancel this job
          </button>
        ) : null}
        {open && left.length > 0 ? (
          <button type="button" class="button small" onClick={dropBehind}>
            Cancel the {left.length === 1 ? "one" : left.length} behind it
          </button>
        ) : null}
        <a class="button quiet small" href={href("job", jobId)}>
          Open job
        </a>
      </span>
    </div>
  );
}
