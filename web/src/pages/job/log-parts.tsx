// Around the log's lines: what there is to say about them, what can be done with those chosen, where the raw bytes are.

import type { Attempt, Job } from "../../api/types";
import { bytes, count, plural } from "../../lib/format";
import { streamNames } from "../../lib/logblocks";
import type { Shown } from "../../lib/logindex";
import type { LogSource } from "../../lib/logsource";
import { Notice, Skeleton } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { rawUrl, textUrl } from "./urls";

interface StateProps {
  job: Job;
  source: LogSource;
  shown: Shown;
  running: boolean;
  rows: number;
}

/** Why there are no lines, or not all. */
export function LogState({ job, source, shown, running, rows }: StateProps) {
  if (source.gone)
    return <Notice kind="warning" title="The output is gone.">Housekeeping has removed it to make room. What the job's record says of it is still here.</Notice>;
  const dropped = (job.stdoutDropped ?? 0) + (job.stderrDropped ?? 0);
  const current = source.attempt === job.attempt;
  return (
    <>
      {dropped > 0 && current ? <p class="log-note"><Icon name="warning" />{bytes(dropped)} beyond the limit were printed and not kept.</p> : null}
      {source.mode === "plain" && shown === "both" && rows > 0 ? (
        <p class="log-note"><Icon name="info" />This worker keeps no journal: stdout is shown before stderr, in which order they came is not known.</p>
      ) : null}
      {source.mode === "cut" ? <p class="log-note"><Icon name="info" />The journal ends before the output does: from there on, stdout is shown before stderr.</p> : null}
      {rows === 0 ? <Empty running={running} source={source} shown={shown} /> : null}
    </>
  );
}

function Empty({ running, source, shown }: { running: boolean; source: LogSource; shown: Shown }) {
  const what = shown === "both" ? "output" : shown;
  if (running) return <Notice kind="empty" title={`No ${what} yet.`}>It is shown here as it comes.</Notice>;
  if (!source.complete) return <div class="log-wait"><Skeleton lines={5} /></div>;
  return <Notice kind="empty" title={`This attempt printed nothing${shown === "both" ? "" : ` to ${shown}`}.`} />;
}

export function Selection({ chosen, rows, onCopy, onClear }: { chosen: [number, number]; rows: number; onCopy: () => void; onClear: () => void }) {
  const lines = chosen[1] - chosen[0] + 1;
  const beyond = rows > 0 && chosen[0] > rows;
  return (
    <div class="log-selection" role="status">
      <span>{lines === 1 ? `Line ${count(chosen[0])}` : `Lines ${count(chosen[0])} to ${count(chosen[1])}`}{beyond ? " (there are not so many yet)" : ""}</span>
      <button type="button" class="button small" onClick={onCopy} disabled={beyond}><Icon name="copy" />{lines === 1 ? "Copy" : `Copy ${plural(lines, "line")}`}</button>
      <button type="button" class="button quiet small" aria-label="Choose no line" onClick={onClear}><Icon name="cross" /></button>
    </div>
  );
}

export function LogFoot({ job, attempt, source, rows }: { job: Job; attempt: Attempt | null; source: LogSource; rows: number }) {
  const current = (attempt?.attempt ?? job.attempt) === job.attempt;
  const sizes = [job.stdoutBytes, job.stderrBytes];
  const ends = source.parts("both").reduce((sum, { part }) => [Math.max(sum[0]!, part.blocks.ends[0]), Math.max(sum[1]!, part.blocks.ends[1])], [0, 0]);
  return (
    <div class="log-foot">
      <span class="figure">{plural(rows, "line")}</span>
      <span class="log-gap" />
      {streamNames.map((name, stream) => {
        const size = Math.max(ends[stream] ?? 0, current ? (sizes[stream] ?? 0) : 0);
        if (size === 0 || source.gone) return null;
        return (
          <span key={name} class="log-stream">
            <span>{name} <span class="faint">{bytes(size)}</span></span>
            <a href={textUrl(job.jobId, name, source.attempt)} target="_blank" rel="noopener" title={`${name} as plain text, in a new tab`} aria-label={`Raw ${name}`}><Icon name="file" />Raw</a>
            <a href={rawUrl(job.jobId, name, source.attempt)} download={`${job.jobId}.${source.attempt}.${name}.txt`} aria-label={`Download ${name}`}><Icon name="download" />Download</a>
          </span>
        );
      })}
    </div>
  );
}
