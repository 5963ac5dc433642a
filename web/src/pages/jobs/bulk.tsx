// What can be done with the selected jobs, all at once.

import { useState } from "preact/hooks";
import { cancelJob, runAgain } from "../../api/calls";
import { may } from "../../api/session";
import type { Job } from "../../api/types";
import { plural } from "../../lib/format";
import { doneWords, each, isOver } from "../../lib/job-list";
import { confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icon";
import { toast } from "../../ui/toast";

const AT_ONCE = 6;

/** Jobs are selected to do something with them. */
export const canSelect = (): boolean => may("cancel") || may("submit");

/** Cancels a job; false when it was over already. */
const cancelOne = async (id: string): Promise<boolean> => !(await cancelJob(id)).alreadyOver;

const runOneAgain = async (id: string): Promise<boolean> => Boolean(await runAgain(id));

/** Does one thing to many jobs, with a question before and a summary after. `what` tells whether the job was not over
 *  before. */
async function doAll(
  ids: readonly string[],
  ask: { title: string; text: string; yes: string; danger: boolean },
  done: string,
  what: (id: string) => Promise<boolean>,
  progress: (text: string) => void,
): Promise<void> {
  if (ids.length === 0 || !(await confirm(ask.title, ask.text, ask.yes, ask.danger))) return;
  let over = 0;
  const one = async (id: string): Promise<void> => {
    if (!(await what(id))) over++;
  };
  const failures = await each(ids, AT_ONCE, one, (count) => progress(`${count} of ${ids.length}`));
  progress("");
  const words = doneWords(ids.length, failures.size, over, done);
  if (words) toast(words);
  const [first] = failures;
  if (first) toast(`${plural(failures.size, "job")} not ${done}. ${first[0]}: ${first[1]}`, "error");
}

export interface Bulk {
  cancel: () => void;
  again: () => void;
  progress: string;
}

export function useBulk(chosen: readonly Job[]): Bulk {
  const [progress, setProgress] = useState("");
  const live = chosen.filter((job) => !isOver(job)).map((job) => job.jobId);
  const over = chosen.filter(isOver).map((job) => job.jobId);
  const rest = (left: number, why: string): string => (left ? ` ${plural(left, "selected job")} ${why}.` : "");
  const cancel = (): void => {
    const text = `They end as failed, cancelled; what runs of them is stopped.${rest(over.length, over.length === 1 ? "is over already" : "are over already")}`;
    void doAll(live, { title: `Cancel ${plural(live.length, "job")}?`, text, yes: `Cancel ${plural(live.length, "job")}`, danger: true }, "cancelled", cancelOne, setProgress);
  };
  const again = (): void => {
    const text = `Each is submitted once more, as a new job, with the same files, commands and options.${rest(live.length, live.length === 1 ? "is not over yet" : "are not over yet")}`;
    void doAll(over, { title: `Run ${plural(over.length, "job")} again?`, text, yes: "Run again", danger: false }, "submitted again", runOneAgain, setProgress);
  };
  return { cancel, again, progress };
}

export function BulkBar({ chosen, bulk, clear }: { chosen: readonly Job[]; bulk: Bulk; clear: () => void }) {
  const live = chosen.filter((job) => !isOver(job)).length;
  return (
    <div class="bulk" role="region" aria-label="Selected jobs">
      <strong>{chosen.length} selected</strong>
      {may("cancel") ? (
        <button type="button" class="button small danger" disabled={live === 0 || bulk.progress !== ""} onClick={bulk.cancel}>
          <Icon name="stop" /> Cancel {live}
        </button>
      ) : null}
      {may("submit") ? (
        <button type="button" class="button small" disabled={live === chosen.length || bulk.progress !== ""} onClick={bulk.again}>
          <Icon name="again" /> Run {chosen.length - live} again
        </button>
      ) : null}
      <button type="button" class="button quiet small" onClick={clear}>
        Clear selection
      </button>
      <span role="status">{bulk.progress}</span>
    </div>
  );
}
