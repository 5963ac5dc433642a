// The drawing of a chart by uPlot. Loaded when the first chart is shown.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { lonely, mix, roundUp, stack, tickRange, ticksWithin, timeTicks, type ChartSeries } from "./chart-data";

export interface PlotOptions {
  host: HTMLElement;
  height: number;
  series: ChartSeries[];
  /** Words on the value axis. */
  format: (value: number) => string;
  /** Where a logarithmic axis may have its ticks; without it the axis is linear and starts at 0. */
  logTicks: readonly number[] | undefined;
  /** The least top of a linear axis. */
  top: number | undefined;
  /** Only whole numbers on the axis. */
  whole: boolean;
  /** Charts of one group share the crosshair. */
  group: string | undefined;
  onCursor: (at: number | null) => void;
}

export interface Plot {
  show: (times: number[], series: ChartSeries[]) => void;
  resize: (width: number) => void;
  close: () => void;
}

type Colours = (name: string) => string;

/** Reads colours as the page has them now: canvas knows neither variables nor light-dark(). */
function colours(host: HTMLElement): Colours {
  const known = new Map<string, string>();
  return (name) => {
    const found = known.get(name);
    if (found) return found;
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    host.append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    known.set(name, colour);
    return colour;
  };
}

// Where there is no room for gaps between bars, they stand side by side.
const bars = uPlot.paths.bars!({ size: [0.74, 40] });
const denseBars = uPlot.paths.bars!({ size: [1, 40] });
const line = uPlot.paths.linear!({ alignGaps: 0 });

function seriesOptions(one: ChartSeries, colour: Colours, dense: boolean): uPlot.Series {
  const stroke = colour(one.colour);
  const ground = colour("--panel");
  if (one.kind === "bars") return { label: one.label, width: 0, fill: stroke, stroke, paths: dense ? denseBars : bars, points: { show: false } };
  const options: uPlot.Series = {
    label: one.label,
    stroke,
    width: 1.6,
    paths: line,
    points: { show: true, size: 5, width: 0, fill: stroke, filter: (plot, at) => lonely(plot.data[at] as (number | null)[]) },
  };
  if (one.dashed) options.dash = [4, 4];
  // What is stacked covers what is behind it, so its ground is opaque.
  if (one.kind === "area") options.fill = one.stacked ? mix(stroke, ground, 0.3) : stroke.replace("rgb(", "rgba(").replace(")", ", 0.11)");
  return options;
}

/** Without any value uPlot says null, whatever its types say. */
const orNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

function valueScale({ logTicks, top }: PlotOptions): uPlot.Scale {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- logarithmic; an ambient enum has no value here
  if (logTicks) return { distr: 3, range: (_, min, max) => tickRange(logTicks, orNull(min), orNull(max)) };
  return { range: (_, __, max) => [0, Math.max(roundUp(orNull(max) ?? 0), top ?? 0)] };
}

/** Bars reach half a step over the first and the last time. */
function timeScale(series: ChartSeries[]): uPlot.Scale {
  const reach = series.some((one) => one.kind === "bars") ? 0.5 : 0;
  return {
    time: true,
    range: (plot, min, max) => {
      const times = plot.data[0];
      const step = times.length > 1 ? (times.at(-1)! - times[0]!) / (times.length - 1) : 60_000;
      return max > min ? [min - step * reach, max + step * reach] : [min - step, min + step];
    },
  };
}

const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8, 1e9];
const AXIS_WIDTH = 54;

function axes(options: PlotOptions, colour: Colours): uPlot.Axis[] {
  const font = `11.5px ${getComputedStyle(options.host).fontFamily}`;
  const grid = { stroke: colour("--chart-grid"), width: 1 };
  const shared = { stroke: colour("--faint"), font, ticks: { show: false }, grid };
  const time: uPlot.Axis = {
    ...shared,
    size: 28,
    gap: 8,
    space: 64,
    grid: { ...grid, show: false },
    values: (_, splits, __, ___, step) => timeTicks(splits, step),
  };
  const value: uPlot.Axis = {
    ...shared,
    size: AXIS_WIDTH,
    gap: 8,
    space: 26,
    values: (_, splits) => splits.map((split) => options.format(split)),
  };
  const { logTicks } = options;
  if (logTicks) {
    value.splits = (plot, _, low, high) => ticksWithin(logTicks, low, high, Math.floor(plot.height / 34));
    value.filter = (_, splits) => splits;
  } else if (options.whole) value.incrs = WHOLE;
  return [time, value];
}

/** Later series are drawn behind earlier ones, so that a stack shows every part. */
function table(times: number[], series: ChartSeries[], log: boolean): uPlot.AlignedData {
  const heights = stack(series).reverse();
  const drawn = log ? heights.map((row) => row.map((value) => (value === null ? null : Math.max(1, value)))) : heights;
  return [times, ...drawn];
}

export function openPlot(options: PlotOptions, times: number[]): Plot {
  const { host, series, height } = options;
  const colour = colours(host);
  const log = options.logTicks !== undefined;
  const width = Math.max(120, host.clientWidth);
  const dense = times.length * 4 > width - AXIS_WIDTH;
  const plot = new uPlot(
    {
      width,
      height,
      ms: 1,
      padding: [10, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false },
        points: { size: 7 },
        ...(options.group ? { sync: { key: options.group, setSeries: false } } : {}),
      },
      scales: { x: timeScale(series), y: valueScale(options) },
      axes: axes(options, colour),
      series: [{}, ...series.map((one) => seriesOptions(one, colour, dense)).reverse()],
      hooks: { setCursor: [(self) => options.onCursor(self.cursor.left !== undefined && self.cursor.left < 0 ? null : (self.cursor.idx ?? null))] },
    },
    table(times, series, log),
    host,
  );
  return {
    show: (now, rows) => plot.setData(table(now, rows, log)),
    resize: (width) => {
      if (width > 0 && width !== plot.width) plot.setSize({ width, height });
    },
    close: () => plot.destroy(),
  };
}
