// What the attempt used of its machine: the words, and the chart, whose code is loaded when there is something to draw.

import type { ComponentType } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { bytes } from "../../lib/format";
import { span3, usage, type Usage } from "../../lib/journal";
import type { LogSource } from "../../lib/logsource";
import { useSignalValue } from "./follow-signal";

export interface ChartProps {
  at: number[];
  values: number[];
  colour: string;
  format: (value: number) => string;
}

export function Resources({ source }: { source: LogSource }) {
  useSignalValue(source.version);
  const count = source.journal.uses.length;
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the list grows in place
  const used: Usage = useMemo(() => usage(source.journal.uses), [source, count]);
  const [Chart, setChart] = useState<ComponentType<ChartProps> | null>(null);
  const drawn = used.at.length > 1;
  useEffect(() => {
    if (drawn && !Chart) import("./chart").then((module) => setChart(() => module.Chart), () => undefined);
  }, [drawn, Chart]);
  if (!drawn) return null;
  return (
    <section class="panel side-panel" aria-label="Resources">
      <h2>Resources</h2>
      <One title="CPU" values={used.cores} at={used.at} colour="--running" format={(value) => `${value.toFixed(1)} cores`} Chart={Chart} />
      <One title="Memory" values={used.memory} at={used.at} colour="--accent" format={bytes} Chart={Chart} />
    </section>
  );
}

function One({ title, Chart, ...chart }: ChartProps & { title: string; Chart: ComponentType<ChartProps> | null }) {
  const all = span3(chart.values);
  if (!all) return null;
  return (
    <figure class="use">
      <figcaption>
        <strong>{title}</strong>
        <span class="figure faint">min {chart.format(all.min)} · avg {chart.format(all.avg)} · max {chart.format(all.max)}</span>
      </figcaption>
      <div class="use-chart" aria-hidden="true">{Chart ? <Chart {...chart} /> : null}</div>
    </figure>
  );
}
