// The death certificate of a failed job: what it died of, and what says so.

import type { Job } from "../../api/types";
import { bytes, duration } from "../../lib/format";
import { usage } from "../../lib/journal";
import type { LogSource } from "../../lib/logsource";
import { parseLine } from "../../lib/ansi";
import { reasonWords, sentence } from "../../lib/reasons";
import { Icon } from "../../ui/icon";
import { useSignalValue } from "./follow-signal";

const LINES_SHOWN = 12;

/** Facts that stand beside the sentence. */
export function evidence(job: Job, source: LogSource | null): { name: string; value: string }[] {
  const facts: { name: string; value: string }[] = [];
  if (job.exitCode != null) facts.push({ name: "Exit code", value: String(job.exitCode) });
  if (job.signal) facts.push({ name: "Signal", value: String(job.signal) });
  if ((job.attempt ?? 0) > 1) facts.push({ name: "Attempts", value: `${job.attempt} of ${job.maxAttempts ?? job.attempt}` });
  const uses = source?.journal.uses ?? [];
  const last = uses.at(-1);
  if (last) {
    const peak = uses.reduce((most, use) => Math.max(most, use.memory), 0);
    if (peak > 0) facts.push({ name: "Peak memory", value: bytes(peak) }); // a short job ends before it is looked at
    const cores = usage(uses).cores;
    facts.push({ name: "CPU time", value: `${duration(last.cpuMs)}, at most ${cores.reduce((most, value) => Math.max(most, value), 0).toFixed(1)} cores` });
  }
  return facts;
}

/** What the receipts say of the output. */
export function receipts(job: Job & { stdoutSha256?: string | null; stderrSha256?: string | null }): string {
  const kept = (job.stdoutBytes ?? 0) + (job.stderrBytes ?? 0);
  const dropped = (job.stdoutDropped ?? 0) + (job.stderrDropped ?? 0);
  const lost = dropped > 0 ? ` ${bytes(dropped)} beyond the limit were not kept.` : "";
  if (job.stdoutSha256 || job.stderrSha256) return `The output is whole: worker and broker agree on ${bytes(kept)} and their SHA-256.${lost}`;
  return kept > 0 ? `${bytes(kept)} of output were kept; the worker gave no receipt for them, so their end may be missing.${lost}` : "";
}

export function Certificate({ job, journal: source }: { job: Job; journal: LogSource | null }) {
  useSignalValue(source?.version);
  const cancelled = job.reason === "cancelled";
  const words = job.reason ? reasonWords(job.reason) : null;
  const facts = evidence(job, source);
  const lines = (job.lastLines ?? "").replace(/\n$/, "").split("\n").slice(-LINES_SHOWN).map((line) => parseLine(line).pieces.map((piece) => piece.text).join(""));
  const receipt = receipts(job);
  return (
    <section class={`panel death${cancelled ? " death-cancelled" : ""}`} aria-label="Why it failed">
      <h2><Icon name={cancelled ? "stop" : "cross"} />{sentence(job) || "The job failed."}</h2>
      {words?.advice ? <p class="death-advice">{words.advice}</p> : null}
      {facts.length > 0 ? (
        <dl class="death-facts">
          {facts.map((fact) => <div key={fact.name}><dt>{fact.name}</dt><dd class="figure">{fact.value}</dd></div>)}
        </dl>
      ) : null}
      {lines.some((line) => line.trim()) ? (
        <details class="death-last" open>
          <summary>Last lines</summary>
          <pre>{lines.join("\n")}</pre>
        </details>
      ) : null}
      {receipt ? <p class="death-receipt">{receipt}</p> : null}
    </section>
  );
}
