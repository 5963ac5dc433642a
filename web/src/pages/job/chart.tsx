// A small area chart over time, in the page's colours.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { duration } from "../../lib/format";
import { theme } from "../../lib/theme";
import type { ChartProps } from "./resources";

const HEIGHT = 110;

function options(width: number, colour: string, format: (value: number) => string): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  // The colour itself, not light-dark(): a canvas does not know of it.
  const probe = document.createElement("span");
  const resolve = (name: string): string => {
    probe.style.color = style.getPropertyValue(name);
    document.body.append(probe);
    const text = getComputedStyle(probe).color;
    probe.remove();
    return text;
  };
  const line = resolve(colour);
  const axis = { stroke: resolve("--faint"), grid: { stroke: resolve("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { time: false }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, size: 22, space: 70, values: (_, splits) => splits.map((ms) => duration(ms)) },
      { ...axis, size: 64, space: 34, values: (_, splits) => splits.map((value) => format(value)) },
    ],
    series: [{}, { stroke: line, width: 1.5, fill: line.replace("rgb(", "rgba(").replace(")", ", 0.14)"), points: { show: false } }],
  };
}

export function Chart({ at, values, colour, format }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = useRef<uPlot.AlignedData>([at, values]);
  data.current = [at, values];
  const colours = theme.value;
  const formatting = useRef(format);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(element.clientWidth, colour, formatting.current), data.current, element);
    plot.current = made;
    const watch = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [colour, colours]);
  useEffect(() => plot.current?.setData(data.current), [at, values]);
  return <div ref={box} />;
}
