// The log: lines of one attempt, with folds, search, selection and following.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Attempt, Job } from "../../api/types";
import { clock, duration, plural } from "../../lib/format";
import { commandTexts } from "../../lib/journal";
import { streamNames } from "../../lib/logblocks";
import { Layout, sectionsOf, type PartOfView, type Shown, type ShownSection } from "../../lib/logindex";
import type { LogSource } from "../../lib/logsource";
import type { RowLine } from "../../lib/logread";
import { stored } from "../../lib/storage";
import { setQuery } from "../../router";
import { copyText } from "../../ui/basics";
import { useCommands } from "../../ui/commands";
import { toast } from "../../ui/toast";
import { chosenText, lineQuery, linesOf } from "./chosen";
import { LogFoot, LogState, Selection } from "./log-parts";
import { elapsedSince, Header, LineNumber, Row, runState } from "./log-rows";
import { nextTimes, SearchBar, Tools, type Times } from "./log-tools";
import { LogView, type LogControl } from "./log-view";
import { textUrl } from "./urls";
import { useSearch } from "./use-search";

const timesShown = stored<Times>("log.times", "off");
const AHEAD = 60;

interface Props {
  job: Job;
  attempt: Attempt | null;
  source: LogSource;
  running: boolean;
  startedAt: number | null;
  query: URLSearchParams;
}

function timeText(times: Times, at: number, startedAt: number | null): string | null {
  if (times === "off") return null;
  if (Number.isNaN(at) || (times === "clock" && startedAt === null)) return "";
  if (times === "elapsed") return at < 60_000 ? `${(at / 1000).toFixed(3)} s` : duration(at);
  const ms = (startedAt ?? 0) + at;
  return `${clock(ms, ms)}.${String(Math.floor(ms % 1000)).padStart(3, "0")}`;
}

/** Which sections are folded: as the user said, else those that went well beside one that did not. */
function useFolds(source: LogSource, running: boolean) {
  const [said, setSaid] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [wasOver] = useState(!running);
  const failed = source.journal.commands.some((run) => runState(run, running) === "failed");
  const byItself = (section: ShownSection): boolean => {
    const run = source.journal.commands[section.command - 1];
    return wasOver && failed && run !== undefined && runState(run, running) === "completed";
  };
  return { folded: (section: ShownSection): boolean => said.get(section.key) ?? byItself(section), said, setSaid };
}

/** The line of a row of the view. */
function readRow(source: LogSource, section: ShownSection, row: number): RowLine | null {
  return source.reader.line(section.part, section.first + row - section.row);
}

function titleOf(section: ShownSection, texts: readonly string[], parts: readonly PartOfView[], source: LogSource): string {
  if (section.command === 0) return parts.find(({ part }) => part === section.part)?.name ?? "";
  return texts[(source.journal.commands[section.command - 1]?.number ?? section.command) - 1] ?? `Command ${section.command}`;
}

interface Moves {
  step: (direction: 1 | -1) => void;
  toStart: () => void;
  toEnd: () => void;
  focusSearch: () => void;
  follow: () => void;
}

const turnTimes = (): void => {
  timesShown.value = nextTimes[timesShown.value];
};

function useLogCommands(moves: Moves): void {
  useCommands([
    { id: "log-search", title: "Search the output", keys: "/", group: "Log", run: moves.focusSearch },
    { id: "log-next", title: "Next match", keys: "n", group: "Log", run: () => moves.step(1) },
    { id: "log-previous", title: "Previous match", keys: "N", group: "Log", run: () => moves.step(-1) },
    { id: "log-follow", title: "Follow new output", keys: "f", group: "Log", run: moves.follow },
    { id: "log-start", title: "To the start of the output", keys: "g g", group: "Log", run: moves.toStart },
    { id: "log-end", title: "To the end of the output", keys: "G", group: "Log", run: moves.toEnd },
    { id: "log-times", title: "Show times of lines", keys: "t", group: "Log", run: turnTimes },
  ]);
}

/** What of the log the address says: which lines are chosen. */
function useChosen(query: URLSearchParams) {
  const chosen = linesOf(query.get("line"));
  const ask = (change: Record<string, string>): void =>
    setQuery({ stream: query.get("stream") ?? "", attempt: query.get("attempt") ?? "", line: query.get("line") ?? "", ...change });
  const own = useRef(query.get("line") ?? ""); // the line that was chosen here: it is in sight already
  const clicked = (event: MouseEvent): void => {
    const number = event.target instanceof Element ? event.target.closest<HTMLElement>(".log-number") : null;
    if (!number) return;
    event.preventDefault();
    const line = Number(number.dataset.row);
    const same = !event.shiftKey && chosen?.[0] === line && chosen[1] === line;
    own.current = same ? "" : lineQuery(event.shiftKey && chosen ? chosen[0] : line, line);
    ask({ line: own.current });
  };
  /** The first line of an address that is new since it was last asked; 0: none. */
  const newLine = (): number => {
    const line = query.get("line") ?? "";
    const isNew = line !== own.current;
    own.current = line;
    return isNew ? (chosen?.[0] ?? 0) : 0;
  };
  return { chosen, ask, clicked, newLine };
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
  const { chosen, ask, clicked, newLine } = useChosen(query);
  const [follow, setFollow] = useState(chosen === null);
  const following = follow && running;
  const control = useRef<LogControl | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const widest = useRef({ shown, columns: 40 });
  const seen = useRef({ first: 0, last: 0 });
  if (widest.current.shown !== shown) widest.current = { shown, columns: 40 };
  const times = timesShown.value;
  const latest = useRef(layout);
  latest.current = layout;
  const pending = useRef(-1);

  const show = (row: number): void => {
    const section = layout.sectionOf(row);
    setFollow(false);
    if (section && folded(section)) {
      setSaid(new Map(said).set(section.key, false));
      pending.current = row;
    } else control.current?.reveal(layout.placeOf(row));
  };
  const rowSeen = (): number => {
    const line = layout.at(seen.current.first);
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
  const toStart = (): void => {
    setFollow(false);
    control.current?.toStart();
  };
  const toEnd = (): void => {
    setFollow(true);
    control.current?.toEnd();
  };
  const focusSearch = (): void => {
    input.current?.focus();
    input.current?.select();
  };
  useLogCommands({ step, toStart, toEnd, focusSearch, follow: () => (following ? setFollow(false) : toEnd()) });

  const draw = (first: number, last: number) => {
    seen.current = { first, last };
    const out = [];
    for (let place = first; place < last; place++) {
      const line = layout.at(place);
      if (!line) continue;
      if ("header" in line) {
        const section = line.header;
        const run = source.journal.commands[section.command - 1] ?? null;
        out.push(
          <Header key={section.key} section={section} title={titleOf(section, texts, parts, source)} run={run} folded={folded(section)} running={running}
            elapsed={elapsedSince(startedAt)} onToggle={() => setSaid(new Map(said).set(section.key, !folded(section)))} />,
        );
        continue;
      }
      const read = readRow(source, line.section, line.row);
      if (read) widest.current.columns = Math.max(widest.current.columns, width(read.text));
      const number = line.row + 1;
      out.push(
        <Row key={line.row} line={read} time={timeText(times, read?.at ?? NaN, startedAt)} tint={shown === "both"} expression={found.expression}
          chosen={chosen !== null && number >= chosen[0] && number <= chosen[1]} current={line.row === found.row}
          rawUrl={textUrl(job.jobId, read ? streamNames[read.stream] : "stdout", source.attempt)} />,
      );
    }
    return out;
  };
  const drawNumbers = (first: number, last: number) =>
    Array.from({ length: last - first }, (_, at) => {
      const line = layout.at(first + at);
      if (!line || "header" in line) return <i key={`h${first + at}`} />;
      const number = line.row + 1;
      return <LineNumber key={line.row} number={number} chosen={chosen !== null && number >= chosen[0] && number <= chosen[1]} />;
    });
  // After drawing: what was missing is fetched, and a little around it.
  const drawn = (first: number, last: number): void => {
    for (const place of [last + AHEAD, first - AHEAD]) {
      const line = layout.at(Math.max(0, Math.min(layout.length - 1, place)));
      if (line && !("header" in line)) readRow(source, line.section, line.row);
    }
    source.cache.want(source.reader.takeMissing());
  };
  const foldable = layout.sections.filter((section) => section.header).length > 1;
  return (
    <section class="panel log-panel" aria-label="Output">
      <div class="log-bar">
        <Tools shown={shown} onShown={(to) => ask({ stream: to === "both" ? "" : to, line: "" })} times={times} onTimes={turnTimes}
          foldable={foldable} onFold={fold} running={running} following={following} onFollow={() => (following ? setFollow(false) : toEnd())} onStart={toStart} onEnd={toEnd} />
        <SearchBar found={found} input={input} onStep={step} onLeave={() => { found.setText(""); control.current?.focus(); }} />
      </div>
      {chosen ? <Selection chosen={chosen} rows={layout.rows} onCopy={() => void copyChosen(source, layout, chosen)} onClear={() => ask({ line: "" })} /> : null}
      <LogState job={job} source={source} shown={shown} running={running} rows={layout.rows} />
      {layout.length > 0 ? (
        <LogView length={layout.length} following={following} columns={widest.current.columns} label="Output" control={control} onFollow={setFollow} draw={draw} drawNumbers={drawNumbers} drawn={drawn} onClick={clicked} />
      ) : null}
      <LogFoot job={job} attempt={attempt} source={source} rows={layout.rows} />
    </section>
  );
}

/** Columns that a text takes at most. */
function width(text: string): number {
  let columns = text.length;
  for (let at = 0; at < text.length && at < 400; at++) if (text.charCodeAt(at) === 9) columns += 7;
    else if (text.charCodeAt(at) > 0x10ff) columns += 1;
  return columns;
}
