// A chart over time: lines, areas, bars; the legend has the values under the crosshair, the last ones without it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { dark } from "../lib/theme";
import { inWords, timeLabel, type ChartSeries } from "./chart-data";
import type { Plot } from "./chart-plot";
import "./chart.css";

export type { ChartSeries } from "./chart-data";

export interface ChartProps {
  title: string;
  /** ms since the epoch, ascending, as many as every series has values. */
  times: number[];
  /** Null is a gap. */
  series: ChartSeries[];
  /** A value with its unit. */
  format: (value: number) => string;
  /** The same on the axis, where there is little room. */
  formatAxis?: (value: number) => string;
  height?: number;
  /** A logarithmic axis that may have its ticks here. */
  logTicks?: readonly number[];
  /** The least top of a linear axis. */
  top?: number;
  whole?: boolean;
  /** Charts of one group share the crosshair. */
  group?: string;
  /** What stands there when no series has a value. */
  none?: string;
}

const identity = (series: ChartSeries[]): string =>
  series.map(({ label, kind, colour, stacked, dashed }) => [label, kind, colour, stacked, dashed].join()).join(";");

/** Draws into the returned element; the state says whether that went well. */
function usePlot(props: ChartProps, onCursor: (at: number | null) => void) {
  const { times, series, height = 180, logTicks, top, whole = false, group } = props;
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const newest = useRef({ props, onCursor });
  newest.current = { props, onCursor };
  const [failed, setFailed] = useState(false);
  const isDark = dark.value;
  const shape = identity(series);
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    let over = false;
    const watcher = new ResizeObserver(() => plot.current?.resize(element.clientWidth));
    import("./chart-plot").then(
      ({ openPlot }) => {
        if (over) return;
        const now = newest.current.props;
        const format = (value: number): string => (newest.current.props.formatAxis ?? newest.current.props.format)(value);
        const cursor = (at: number | null): void => newest.current.onCursor(at);
        plot.current = openPlot({ host: element, height, series: now.series, format, logTicks, top, whole, group, onCursor: cursor }, now.times);
        watcher.observe(element);
      },
      () => setFailed(true),
    );
    return () => {
      over = true;
      watcher.disconnect();
      plot.current?.close();
      plot.current = null;
    };
  }, [shape, height, isDark, logTicks, top, whole, group]);
  useEffect(() => plot.current?.show(times, series), [times, series]);
  return { host, failed };
}

function Legend({ series, at, format }: { series: ChartSeries[]; at: number; format: (value: number) => string }) {
  return (
    <ul class="chart-legend">
      {series.map((one) => {
        const value = one.values[at] ?? null;
        const mark = one.dashed ? "chart-mark chart-mark-dashed" : `chart-mark chart-mark-${one.kind}`;
        const colour = `var(${one.colour})`;
        return (
          <li key={one.label}>
            <span class={mark} style={one.dashed ? { borderColor: colour } : { background: colour }} />
            {one.label} <b>{value === null ? "–" : format(value)}</b>
          </li>
        );
      })}
    </ul>
  );
}

export function Chart(props: ChartProps) {
  const { title, times, series, format, height = 180, none = "No values in this range." } = props;
  const [cursor, setCursor] = useState<number | null>(null);
  const { host, failed } = usePlot(props, setCursor);
  const words = useMemo(() => inWords(title, series, format), [title, series, format]);
  const empty = useMemo(() => series.every((one) => one.values.every((value) => value === null)), [series]);
  const at = cursor !== null && cursor < times.length ? cursor : times.length - 1;
  const time = times[at];
  const span = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return (
    <figure class="chart">
      <figcaption class="chart-head">
        <span class="chart-title">{title}</span>
        <span class="chart-time">{time === undefined ? "" : cursor === null ? `last ${timeLabel(time, span)}` : timeLabel(time, span)}</span>
      </figcaption>
      <Legend series={series} at={at} format={format} />
      {failed ? (
        <p class="faint">The chart could not be loaded. {words}</p>
      ) : (
        <div class="chart-plot" role="img" aria-label={words} style={{ minHeight: `${height}px` }}>
          <div ref={host} />
          {empty ? <div class="chart-none">{none}</div> : null}
        </div>
      )}
    </figure>
  );
}
