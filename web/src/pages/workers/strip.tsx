// The last 24 hours of a worker: a bar a quarter hour.

import { memo } from "preact/compat";
import { useState } from "preact/hooks";
import { clock } from "../../lib/format";
import { CELLS, cellsOf, cellTimes, cellWords, STRIP_HEIGHT, stripPaths, stripWords } from "./model";

interface StripProps {
  activity: string;
  until: number;
  stepMs: number;
}

function timeOfDay(ms: number): string {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** The strip with its words; under the pointer, the time and the words of a cell. */
export const Strip = memo(function Strip({ activity, until, stepMs }: StripProps) {
  const [at, setAt] = useState<number | null>(null);
  const cells = cellsOf(activity);
  const words = stripWords(cells, stepMs);
  const paths = stripPaths(cells);
  const pointed = (event: PointerEvent & { currentTarget: Element }): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = Math.floor(((event.clientX - box.left) / box.width) * CELLS);
    setAt(Math.min(CELLS - 1, Math.max(0, place)));
  };
  const [share, span] = words.split(/(?= of )/);
  const times = at === null ? null : cellTimes(at, until, stepMs);
  return (
    <div class="strip">
      <svg
        viewBox={`0 0 ${CELLS} ${STRIP_HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={words}
        onPointerMove={pointed}
        onPointerLeave={() => setAt(null)}
      >
        <rect class="strip-ground" width={CELLS} height={STRIP_HEIGHT} />
        <path class="strip-idle" d={paths.idle} />
        <path class="strip-busy" d={paths.busy} />
        {at === null ? null : <rect class="strip-at" x={at} width="1" height={STRIP_HEIGHT} />}
      </svg>
      <div class="strip-words figure" aria-hidden="true" title={times ? clock(times.from, until) : undefined}>
        {times && at !== null ? (
          `${timeOfDay(times.from)}–${timeOfDay(times.to)} ${cellWords(cells[at] ?? -1)}`
        ) : (
          <>
            {share}
            {span ? <span class="strip-span">{span}</span> : null}
          </>
        )}
      </div>
    </div>
  );
});
