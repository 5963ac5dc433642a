import { describe, expect, it } from "vitest";
import { inWords, lonely, mix, roundUp, stack, summary, tickRange, ticksWithin, timeLabel, timeTicks, type ChartSeries } from "../src/ui/chart-data";

const series = (values: (number | null)[], more: Partial<ChartSeries> = {}): ChartSeries => ({ label: "Pending", values, kind: "line", colour: "--soft", ...more });

describe("chart data", () => {
  it("stacks what is to be stacked, and keeps gaps", () => {
    expect(stack([series([1, null, 3], { stacked: true }), series([9, 9, 9]), series([4, 5, null], { stacked: true })])).toEqual([
      [1, null, 3],
      [9, 9, 9],
      [5, 5, null],
    ]);
  });

  it("finds values that stand alone", () => {
    expect(lonely([1, null, 2, 3, null, 4])).toEqual([0, 5]);
    expect(lonely([null, undefined])).toEqual([]);
    expect(lonely([7])).toEqual([0]);
  });

  it("sums up in words", () => {
    expect(summary([])).toBeNull();
    expect(summary([null, 2, 4, null])).toEqual({ min: 2, max: 4, mean: 3, last: 4 });
    expect(inWords("Queue", [series([2, 4]), series([null], { label: "Running" })], (value) => `${value} jobs`)).toBe(
      "Queue. Pending: from 2 jobs to 4 jobs, 3 jobs in the mean, 4 jobs last. Running: no values.",
    );
  });

  it("rounds the top of a scale", () => {
    expect([0, 1, 1.2, 3, 24, 60, 100, 101].map(roundUp)).toEqual([1, 1, 1.2, 3, 25, 60, 100, 120]);
  });

  it("finds a logarithmic range with at least two ticks", () => {
    const ticks = [1, 10, 100, 1000];
    const near = ([low, high]: [number, number]) => [Number(low.toPrecision(6)), Number(high.toPrecision(6))];
    expect(near(tickRange(ticks, null, null))).toEqual([1, 10]);
    expect(near(tickRange(ticks, 7, 130))).toEqual([6.66667, 150]);
    expect(near(tickRange(ticks, 12, 17))).toEqual([10, 100]);
    expect(near(tickRange(ticks, 0, 0))).toEqual([1, 10]);
    expect(near(tickRange(ticks, 4000, 6000))).toEqual([1000, 10_000]);
    expect(ticksWithin(ticks, 5, 5000, 9)).toEqual([10, 100, 1000]);
    expect(ticksWithin(ticks, 1, 1000, 2)).toEqual([1, 100]);
  });

  it("names times as short as they are clear", () => {
    const at = (hour: number, minute = 0, second = 0) => new Date(2026, 10, 25, hour, minute, second).getTime();
    expect(timeTicks([at(0), at(6), at(23, 5)], 3_600_000)).toEqual(["25 Nov", "06:00", "23:05"]);
    expect(timeTicks([at(6, 0, 30)], 30_000)).toEqual(["06:00:30"]);
    expect(timeTicks([at(12)], 86_400_000)).toEqual(["25 Nov"]);
    expect([timeLabel(at(7, 8, 9), 60_000), timeLabel(at(7, 8), 3_600_000), timeLabel(at(7, 8), 86_400_000)]).toEqual(["07:08:09", "07:08", "25 Nov 07:08"]);
  });

  it("mixes colours", () => {
    expect(mix("rgb(100, 0, 200)", "rgb(0, 0, 100)", 0.25)).toBe("rgb(25, 0, 125)");
  });
});
