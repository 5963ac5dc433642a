// How the whole of it does: figures, charts, health.

import type { ComponentChildren } from "preact";
import { getInfo, getStats, listWorkers } from "../../api/calls";
import type { ApiError } from "../../api/client";
import type { Info, Stats, StatsRange } from "../../api/types";
import { usePolled, type Polled } from "../../api/use";
import { count } from "../../lib/format";
import { href, route, setQuery } from "../../router";
import { Notice, Skeleton } from "../../ui/basics";
import { Charts } from "./charts";
import { fleet, percent, rangeOf, ranges, spanOrDash, type Fleet } from "./figures";
import { DiskWarning, Health } from "./health";
import "./overview.css";

const INFO_MS = 3000;
const WORKERS_MS = 5000;
const STATS_MS = { hour: 5000, day: 30_000, week: 30_000 };

function RangeSwitch({ range }: { range: StatsRange }) {
  return (
    <div class="ov-ranges" role="group" aria-label="Range">
      {ranges.map(({ name, short, words }) => (
        <button key={name} type="button" class="button small" aria-pressed={name === range} title={`The ${words}`} onClick={() => setQuery({ range: name === "hour" ? "" : name })}>
          {short}
        </button>
      ))}
    </div>
  );
}

function Figure({ name, more, to, children }: { name: string; more?: string; to?: string; children: ComponentChildren }) {
  return (
    <div class="ov-figure">
      <dt>{to ? <a href={to}>{name}</a> : name}</dt>
      <dd>
        <span class="ov-value">{children}</span>
        <span class="ov-more">{more ?? "\u00a0"}</span>
      </dd>
    </div>
  );
}

/** The big figures: first how it is now, then how it was in the range. Null is a figure that is not known yet. */
function Figures({ info, now, stats, range, late }: { info: Info | null; now: Fleet | null; stats: Stats | null; range: StatsRange; late: boolean }) {
  const ended = stats ? stats.completed + stats.failed : null;
  const within = `in the ${ranges.find((one) => one.name === range)?.words ?? ""}`;
  const when = !info ? "not known yet" : late ? "when last heard" : "now";
  const below = (ms: number | null | undefined): string => (ms === null || ms === undefined ? "no job yet" : `95 % < ${spanOrDash(ms)}`);
  return (
    <dl class="ov-figures figure">
      <Figure name="Pending" more={when} to={href("jobs", "", { state: "pending" })}>{info ? count(info.pendingJobs) : "–"}</Figure>
      <Figure name="Running" more={when} to={href("jobs", "", { state: "running" })}>{info ? count(info.runningJobs) : "–"}</Figure>
      <Figure name="Workers online" to={href("workers")} more={now ? `${count(now.busy)} of ${count(now.slots)} slots busy` : undefined}>
        {now ? count(now.online) : "–"}
        {now ? <small> of {count(now.known)}</small> : null}
      </Figure>
      <Figure name="Jobs ended" more={within}>{ended === null ? "–" : count(ended)}</Figure>
      <Figure name="Failure rate" to={href("jobs", "", { state: "failed" })} more={stats ? `${count(stats.failed)} failed` : undefined}>
        {stats ? percent(stats.failed, stats.completed + stats.failed) : "–"}
      </Figure>
      <Figure name="Median wait" more={stats ? below(stats.waitP95) : undefined}>{spanOrDash(stats?.waitP50)}</Figure>
      <Figure name="Median run" more={stats ? below(stats.runP95) : undefined}>{spanOrDash(stats?.runP50)}</Figure>
    </dl>
  );
}

/** An error in words; what passes by itself is said by the frame's banner, so only a page without data says it again. */
function Trouble({ error, what }: { error: ApiError; what: string }) {
  return (
    <Notice kind={error.passes ? "warning" : "error"} title={error.passes ? `${what} will be here when there are answers again.` : `${what} could not be read.`}>
      {error.message}
    </Notice>
  );
}

function StatsPart({ data, error }: Polled<Stats>) {
  if (!data && error?.status === 404)
    return (
      <Notice title="This broker keeps no statistics.">
        It is older than this page. The figures of now and the health below are right; the charts need a newer broker.
      </Notice>
    );
  if (!data) return error ? <Trouble error={error} what="The charts" /> : <div class="ov-loading"><Skeleton lines={8} /></div>;
  if (data.points.length === 0)
    return (
      <Notice kind="empty" title="No figures yet.">
        The broker notes its first ones within a minute of its start; they show here by themselves.
      </Notice>
    );
  return (
    <>
      {error && !error.passes ? <Trouble error={error} what="Newer figures" /> : null}
      <Charts stats={data} />
    </>
  );
}

function HealthPart({ data, error }: Polled<Info>) {
  if (data) return <Health info={data} />;
  return error ? <Trouble error={error} what="The broker's health" /> : <Skeleton lines={4} />;
}

export default function Overview() {
  const range = rangeOf(route.value.query);
  const info = usePolled("info", INFO_MS, (signal) => getInfo({ signal }));
  const workers = usePolled("workers", WORKERS_MS, (signal) => listWorkers({ signal }));
  const stats = usePolled(range, STATS_MS[range], (signal) => getStats(range, { signal }));
  // One word is enough when there is nothing at all.
  const nothing = !info.data && !stats.data && stats.error?.passes ? info.error : null;
  return (
    <>
      <div class="page-head">
        <h1>Overview</h1>
        <RangeSwitch range={range} />
      </div>
      {info.data ? <DiskWarning info={info.data} /> : null}
      <Figures info={info.data} now={workers.data ? fleet(workers.data.workers) : null} stats={stats.data} range={range} late={info.error !== null} />
      {nothing ? <Trouble error={nothing} what="Charts and health" /> : <StatsPart {...stats} />}
      {nothing ? null : <HealthPart {...info} />}
    </>
  );
}
