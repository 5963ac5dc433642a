// What a chart computes before anything is drawn: stacks, ranges, ticks, the words for those who do not see it.

export type ChartKind = "line" | "area" | "bars";
export type Value = number | null;

export interface ChartSeries {
  label: string;
  values: Value[];
  kind: ChartKind;
  /** The name of a CSS variable, such as `--chart-blue`. */
  colour: string;
  /** Drawn on top of the stacked series in front of it in the list. */
  stacked?: boolean;
  /** A limit rather than a measurement: a dashed line. */
  dashed?: boolean;
}

/** The heights that are drawn: stacked series stand on the ones in front of them. Null stays null. */
export function stack(series: readonly ChartSeries[]): Value[][] {
  const base: number[] = [];
  return series.map((one) => {
    if (!one.stacked) return one.values;
    return one.values.map((value, at) => {
      if (value === null) return null;
      return (base[at] = (base[at] ?? 0) + value);
    });
  });
}

/** Where a line has a value with none on either side: only a dot shows it. */
export function lonely(values: readonly (number | null | undefined)[]): number[] {
  const gone = (at: number): boolean => (values[at] ?? null) === null;
  return values.flatMap((_, at) => (!gone(at) && gone(at - 1) && gone(at + 1) ? [at] : []));
}

export interface Summary {
  min: number;
  max: number;
  mean: number;
  last: number;
}

export function summary(values: readonly Value[]): Summary | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  let min = Infinity;
  let max = -Infinity;
  let sum = 0;
  for (const value of known) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
  }
  return { min, max, mean: sum / known.length, last: known.at(-1)! };
}

/** A sentence a series: "Pending: from 0 to 12, 3.4 in the mean, 2 last." */
export function inWords(title: string, series: readonly ChartSeries[], format: (value: number) => string): string {
  const sentences = series.map((one) => {
    const found = summary(one.values);
    if (!found) return `${one.label}: no values.`;
    return `${one.label}: from ${format(found.min)} to ${format(found.max)}, ${format(found.mean)} in the mean, ${format(found.last)} last.`;
  });
  return `${title}. ${sentences.join(" ")}`;
}

/** The nearest round number (1, 1.5, 2, 3 and so on times a power of ten) that is not below `value`. */
export function roundUp(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value * (1 - 1e-9)) ?? 10;
  return factor * power;
}

/** Bottom and top of a logarithmic scale that shows `min` to `max`: as tight as leaves two of `ticks` (ascending) on it. */
export function tickRange(ticks: readonly number[], min: number | null, max: number | null): [number, number] {
  const first = ticks[0] ?? 1;
  const least = Math.max(first, min ?? first);
  const most = Math.max(least, max ?? least);
  const low = 1 / roundUp(1 / least);
  const high = roundUp(most);
  if (ticks.filter((tick) => tick >= low && tick <= high).length >= 2) return [low, high];
  const below = ticks.findLast((tick) => tick <= least) ?? first;
  return [below, ticks.find((tick) => tick >= most && tick > below) ?? Math.max(most, below * 10)];
}

/** Ticks between `low` and `high`, thinned to about `most`. */
export function ticksWithin(ticks: readonly number[], low: number, high: number, most: number): number[] {
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  const step = Math.max(1, Math.ceil(inside.length / Math.max(2, most)));
  return inside.filter((_, at) => at % step === 0);
}

const DAY_MS = 86_400_000;
const two = (value: number): string => String(value).padStart(2, "0");
const day = (date: Date): string => date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });

/** The words under the time axis, `stepMs` apart: the time of day, the day at midnight. */
export function timeTicks(times: readonly number[], stepMs: number): string[] {
  return times.map((time) => {
    const date = new Date(time);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
    if (stepMs >= DAY_MS || midnight) return day(date);
    const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
    return stepMs < 60_000 ? `${minutes}:${two(date.getSeconds())}` : minutes;
  });
}

/** The time under the crosshair; with the day when the axis is longer than one. */
export function timeLabel(time: number, spanMs: number): string {
  const date = new Date(time);
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (spanMs > DAY_MS / 2) return `${day(date)} ${minutes}`;
  return spanMs < 30 * 60_000 ? `${minutes}:${two(date.getSeconds())}` : minutes;
}

/** `colour` ("rgb(1, 2, 3)") with `share` of it over `ground`. */
export function mix(colour: string, ground: string, share: number): string {
  const parts = (text: string): number[] => (text.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
  const under = parts(ground);
  return `rgb(${parts(colour).map((part, at) => Math.round(part * share + (under[at] ?? 0) * (1 - share))).join(", ")})`;
}
