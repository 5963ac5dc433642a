// The charts of the overview.

import { useMemo } from "preact/hooks";
import type { Stats } from "../../api/types";
import { count, duration } from "../../lib/format";
import { reasonWords } from "../../lib/reasons";
import { href } from "../../router";
import { Chart, type ChartSeries } from "../../ui/chart";
import { axisCount, axisDuration, fill, legendCount, reasonRows, spanTicks, type Table } from "./figures";

const GROUP = "overview";

interface Drawn {
  title: string;
  series: ChartSeries[];
  spans?: boolean;
  none?: string;
}

function seriesOf({ column }: Table): Drawn[] {
  const line = (label: string, values: (number | null)[], colour: string): ChartSeries => ({ label, values, kind: "line", colour });
  const area = (label: string, values: (number | null)[], colour: string): ChartSeries => ({ label, values, kind: "area", colour });
  const bars = (label: string, values: (number | null)[], colour: string): ChartSeries => ({ label, values, kind: "bars", colour, stacked: true });
  return [
    {
      title: "Jobs waiting and running",
      series: [area("Running", column("running"), "--chart-blue"), area("Pending", column("pending"), "--chart-amber")],
    },
    {
      title: "Jobs ended",
      series: [bars("Completed", column("completed"), "--chart-green"), bars("Failed", column("failed"), "--chart-red")],
    },
    {
      title: "Wait for a worker",
      series: [line("Median", column("waitP50"), "--chart-teal"), line("95 % below", column("waitP95"), "--chart-violet")],
      spans: true,
      none: "No job was started in this range.",
    },
    {
      title: "Run time",
      series: [line("Median", column("runP50"), "--chart-teal"), line("95 % below", column("runP95"), "--chart-violet")],
      spans: true,
      none: "No job ended in this range.",
    },
    {
      title: "Workers' slots",
      series: [area("Busy", column("busySlots"), "--chart-blue"), { ...line("All", column("slots"), "--soft"), dashed: true }],
    },
  ];
}

/** A bar a reason, longest first; each leads to the failed jobs. */
function Reasons({ reasons }: { reasons: Stats["reasons"] }) {
  const rows = reasonRows(reasons);
  return (
    <section class="ov-reasons" aria-labelledby="ov-reasons">
      <h2 id="ov-reasons" class="chart-title">Failures by reason</h2>
      {rows.length === 0 ? <p class="faint">No job failed in this range.</p> : null}
      <ul>
        {rows.map((row) => (
          <li key={row.reason}>
            <a href={href("jobs", "", { state: "failed" })} title={reasonWords(row.reason).advice || undefined}>
              <span class="ov-reason-name">{reasonWords(row.reason).short}</span>
              <span class="ov-reason-count">
                {count(row.count)} <span class="faint">{row.share}</span>
              </span>
              <span class="ov-bar" aria-hidden="true">
                <span style={{ width: `${Math.max(1, row.bar)}%` }} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function Charts({ stats }: { stats: Stats }) {
  const { times, drawn } = useMemo(() => {
    const table = fill(stats);
    return { times: table.times, drawn: seriesOf(table) };
  }, [stats]);
  return (
    <div class="ov-charts">
      {drawn.map(({ title, series, spans, none }) => (
        <div class="panel" key={title}>
          <Chart
            title={title}
            times={times}
            series={series}
            group={GROUP}
            format={spans ? duration : legendCount}
            formatAxis={spans ? axisDuration : axisCount}
            {...(spans ? { logTicks: spanTicks } : { top: 4, whole: true })}
            {...(none ? { none } : {})}
          />
        </div>
      ))}
      <div class="panel">
        <Reasons reasons={stats.reasons} />
      </div>
    </div>
  );
}
