// The log: lines of one attempt, with folds, search, selection and following.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Attempt, Job } from "../../api/types";
import { plural } from "../../lib/format";
import { commandTexts } from "../../lib/journal";
import { Layout, sectionsOf, type Shown, type ShownSection } from "../../lib/logindex";
import type { LogSource } from "../../lib/logsource";
import { copyText } from "../../ui/basics";
import { toast } from "../../ui/toast";
import { chosenText } from "./chosen";
import { timesShown, turnTimes, useLogCommands } from "./log-commands";
import { drawLines, drawNumbers, fetchAround, idOf, type Drawn } from "./log-draw";
import { LogFoot, LogState, Selection } from "./log-parts";
import { SearchBar, Tools } from "./log-tools";
import { LogView, type LogControl } from "./log-view";
import { useChosen } from "./use-chosen";
import { useFolds } from "./use-folds";
import { useLogKeys } from "./use-log-keys";
import { useSearch } from "./use-search";

interface Props {
  job: Job;
  attempt: Attempt | null;
  source: LogSource;
  running: boolean;
  startedAt: number | null;
  query: URLSearchParams;
}

async function copyChosen(source: LogSource, layout: Layout, chosen: [number, number]): Promise<void> {
  try {
    const copied = await copyText(await chosenText(source, layout, chosen));
    toast(copied ? `${plural(chosen[1] - chosen[0] + 1, "line")} copied.` : "The browser did not let it be copied.");
  } catch (error) {
    toast(error instanceof Error ? error.message : String(error), "error");
  }
}

function shownBy(query: URLSearchParams): Shown {
  const asked = query.get("stream");
  return asked === "stdout" || asked === "stderr" ? asked : "both";
}

export function Log({ job, attempt, source, running, startedAt, query }: Props) {
  const version = source.version.value;
  const shown = shownBy(query);
  const parts = source.parts(shown);
  const { folded, said, setSaid } = useFolds(source, running);
  const layout = new Layout(sectionsOf(parts), folded);
  const texts = useMemo(() => commandTexts(job.command), [job.command]);
  const { chosen, ask, choose, extend, clicked, newLine, lineHref } = useChosen(query, { jobId: job.jobId, attempt: source.attempt, isLast: source.attempt === job.attempt });
  const [follow, setFollow] = useState(chosen === null);
  const following = follow && running;
  const control = useRef<LogControl | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const widest = useRef({ shown, columns: 40 });
  if (widest.current.shown !== shown) widest.current = { shown, columns: 40 };
  const times = timesShown.value;
  const latest = useRef(layout);
  latest.current = layout;
  const pending = useRef(-1);

  const toStart = (): void => {
    setFollow(false);
    control.current?.toStart();
  };
  const toEnd = (): void => {
    setFollow(true);
    control.current?.toEnd();
  };
  const onToggle = (section: ShownSection): void => setSaid(new Map(said).set(section.key, !folded(section)));
  const keys = useLogKeys({ layout, control, following, folded, onToggle, choose, extend, toStart, toEnd, leaveEnd: () => setFollow(false) });
  const show = (row: number): void => {
    const section = layout.sectionOf(row);
    setFollow(false);
    keys.put(row);
    if (section && folded(section)) {
      setSaid(new Map(said).set(section.key, false));
      pending.current = row;
    } else control.current?.reveal(layout.placeOf(row));
  };
  const rowSeen = (): number => {
    const line = layout.at(control.current?.sight().first ?? 0);
    return line === null ? 0 : "header" in line ? line.header.row : line.row;
  };
  const found = useSearch(source, parts, version, rowSeen, show);
  const step = (direction: 1 | -1): void => {
    const row = found.step(direction);
    if (row !== null) show(row);
  };

  // An address with a line: shown once that line is there.
  const wanted = useRef(chosen?.[0] ?? 0);
  useEffect(() => {
    wanted.current = newLine() || wanted.current;
    if (wanted.current > 0 && wanted.current <= layout.rows) {
      const row = wanted.current - 1;
      wanted.current = 0;
      show(row);
    } else if (pending.current >= 0) {
      const row = pending.current;
      pending.current = -1;
      control.current?.reveal(latest.current.placeOf(row));
    }
  });

  const fold = (yes: boolean): void => setSaid(new Map(layout.sections.filter((section) => section.header).map((section) => [section.key, yes])));
  const focusSearch = (): void => {
    input.current?.focus();
    input.current?.select();
  };
  const clearChosen = (): void => {
    ask({ line: "" });
    control.current?.focus();
  };
  const focusLines = (): void => {
    control.current?.focus();
    keys.begin();
  };
  useLogCommands({ step, toStart, toEnd, focusSearch, focusLines, follow: () => (following ? setFollow(false) : toEnd()) });

  const drawn: Drawn = {
    job, source, layout, parts, shown, texts, running, startedAt, times, marks: found.marks, found: found.row, chosen, folded,
    here: keys.place, onToggle, lineHref,
    wide: (columns) => (widest.current.columns = Math.max(widest.current.columns, columns)),
  };
  const foldable = layout.sections.filter((section) => section.header).length > 1;
  return (
    <section class="panel log-panel" aria-label="Output">
      <div class="log-bar">
        <Tools shown={shown} onShown={(to) => ask({ stream: to === "both" ? "" : to, line: "" })} times={times} onTimes={turnTimes}
          foldable={foldable} onFold={fold} running={running} following={following} onFollow={() => (following ? setFollow(false) : toEnd())} onStart={toStart} onEnd={toEnd} />
        <SearchBar found={found} input={input} onStep={step} onLeave={() => { found.setText(""); control.current?.focus(); }} />
      </div>
      {chosen ? <Selection chosen={chosen} rows={layout.rows} onCopy={() => void copyChosen(source, layout, chosen)} onClear={clearChosen} /> : null}
      <LogState job={job} source={source} shown={shown} running={running} rows={layout.rows} />
      {layout.length > 0 ? (
        <LogView length={layout.length} following={following} columns={widest.current.columns} label="Output" control={control} onFollow={setFollow}
          draw={(first, last) => drawLines(drawn, first, last)} drawNumbers={(first, last) => drawNumbers(drawn, first, last)}
          drawn={(first, last) => fetchAround(drawn, first, last)} here={keys.place} hereId={idOf(layout, keys.place)}
          onClick={(event) => { clicked(event); keys.pointed(event); }} onKeyDown={keys.pressed} onFocus={keys.focused} />
      ) : null}
      <LogFoot job={job} attempt={attempt} source={source} rows={layout.rows} />
    </section>
  );
}
