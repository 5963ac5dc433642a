// The job that a tab shows now: how it stands, why it waits, and the way out of it.

import { useState } from "preact/hooks";
import { cancelJob } from "../../api/calls";
import { useJob } from "../../api/use";
import { jobTitle, plural } from "../../lib/format";
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

async function cancelAll(jobIds: readonly string[], cancelled: (jobId: string) => void): Promise<void> {
  const text = "What runs of them is ended on its worker; what waits is not handed out any more.";
  if (!(await confirm(`Cancel the ${plural(jobIds.length, "command")} behind this one?`, text, "Cancel them", true))) return;
  let over = 0;
  const done = await attempt(async () => {
    for (const jobId of jobIds) {
      if ((await cancelJob(jobId)).alreadyOver) over++;
      cancelled(jobId);
    }
  });
  if (done) toast(`${plural(jobIds.length - over, "job")} cancelled${over ? `; ${over} had ended before` : ""}.`);
}

export function NowBar({ jobId, behind }: NowProps) {
  const { data: job, refresh } = useJob(jobId);
  const [dropped, setDropped] = useState<readonly string[]>([]);
  const left = behind.filter((one) => !dropped.includes(one));
  const open = job === null || job.status === "pending" || job.status === "running";
  const cancel = (): void => {
    void attempt(async () => toast((await cancelJob(jobId)).message ?? "The job is being cancelled.")).then(refresh);
  };
  const dropBehind = (): void => void cancelAll(left, (one) => setDropped((before) => [...before, one]));
  return (
    <div class="tab-now" role="group" aria-label="The job shown now">
      {job ? <StateBadge status={job.status} reason={job.reason} /> : null}
      <code class="tab-now-title">{job ? jobTitle(job) : jobId}</code>
      <span class="tab-now-standing">{job ? <Standing job={job} /> : null}</span>
      <span class="hidden" role="status">{job ? `The job is ${job.status}. ${job.status === "pending" ? (job.waiting ?? "") : ""}` : ""}</span>
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
