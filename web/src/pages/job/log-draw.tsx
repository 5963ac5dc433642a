// The lines of the log that are in sight, drawn.

import type { Job } from "../../api/types";
import { clock, duration } from "../../lib/format";
import { streamNames } from "../../lib/logblocks";
import type { Layout, PartOfView, Shown, ShownSection } from "../../lib/logindex";
import type { RowLine } from "../../lib/logread";
import type { LogSource } from "../../lib/logsource";
import type { Marks } from "../../lib/matcher";
import { elapsedSince, headId, Header, LineNumber, Row, rowId } from "./log-rows";
import type { Times } from "./log-tools";
import { textUrl } from "./urls";

const AHEAD = 60;

function timeText(times: Times, at: number, startedAt: number | null): string | null {
  if (times === "off") return null;
  if (Number.isNaN(at) || (times === "clock" && startedAt === null)) return "";
  if (times === "elapsed") return at < 60_000 ? `${(at / 1000).toFixed(3)} s` : duration(at);
  const ms = (startedAt ?? 0) + at;
  return `${clock(ms, ms)}.${String(Math.floor(ms % 1000)).padStart(3, "0")}`;
}

/** The line of a row of the view. */
function readRow(source: LogSource, section: ShownSection, row: number): RowLine | null {
  return source.reader.line(section.part, section.first + row - section.row);
}

function titleOf(section: ShownSection, texts: readonly string[], parts: readonly PartOfView[], source: LogSource): string {
  if (section.command === 0) return parts.find(({ part }) => part === section.part)?.name ?? "";
  return texts[(source.journal.commands[section.command - 1]?.number ?? section.command) - 1] ?? `Command ${section.command}`;
}

/** Columns that a text takes at most. */
function width(text: string): number {
  let columns = text.length;
  for (let at = 0; at < text.length && at < 400; at++) if (text.charCodeAt(at) === 9) columns += 7;
    else if (text.charCodeAt(at) > 0x10ff) columns += 1;
  return columns;
}

export interface Drawn {
  job: Job;
  source: LogSource;
  layout: Layout;
  parts: readonly PartOfView[];
  shown: Shown;
  texts: readonly string[];
  running: boolean;
  startedAt: number | null;
  times: Times;
  /** Where a line has what is looked for; null: nothing is. */
  marks: ((text: string) => Marks) | null;
  /** The place of the current line; -1: none. */
  here: number;
  /** The row of the match that is looked at. */
  found: number;
  chosen: readonly [number, number] | null;
  folded: (section: ShownSection) => boolean;
  onToggle: (section: ShownSection) => void;
  /** The address of a line, by its number. */
  lineHref: (line: number) => string;
  /** Is told how wide a line is. */
  wide: (columns: number) => void;
}

function isChosen({ chosen }: Drawn, number: number): boolean {
  return chosen !== null && number >= chosen[0] && number <= chosen[1];
}

function drawHeader(log: Drawn, place: number, section: ShownSection) {
  const { source, running } = log;
  const run = source.journal.commands[section.command - 1] ?? null;
  return (
    <Header key={section.key} section={section} index={place + 1} here={place === log.here} title={titleOf(section, log.texts, log.parts, source)} run={run} folded={log.folded(section)} running={running}
      elapsed={elapsedSince(log.startedAt)} onToggle={() => log.onToggle(section)} />
  );
}

function drawRow(log: Drawn, place: number, section: ShownSection, row: number) {
  const { source, times } = log;
  const read = readRow(source, section, row);
  if (read) log.wide(width(read.text));
  return (
    <Row key={row} row={row} index={place + 1} level={section.header ? 2 : 1} here={place === log.here} line={read} time={timeText(times, read?.at ?? NaN, log.startedAt)} tint={log.shown === "both"} marks={read ? log.marks?.(read.text) : undefined}
      chosen={isChosen(log, row + 1)} current={row === log.found}
      rawUrl={textUrl(log.job.jobId, read ? streamNames[read.stream] : "stdout", source.attempt)} />
  );
}

/** The id of the current line's element. */
export function idOf(layout: Layout, place: number): string {
  const line = layout.at(place);
  if (!line) return "";
  return "header" in line ? headId(line.header.key) : rowId(line.row);
}

export function drawLines(log: Drawn, first: number, last: number) {
  const out = [];
  for (let place = first; place < last; place++) {
    const line = log.layout.at(place);
    if (line) out.push("header" in line ? drawHeader(log, place, line.header) : drawRow(log, place, line.section, line.row));
  }
  return out;
}

export function drawNumbers(log: Drawn, first: number, last: number) {
  return Array.from({ length: last - first }, (_, at) => {
    const line = log.layout.at(first + at);
    if (!line || "header" in line) return <i key={`h${first + at}`} />;
    return <LineNumber key={line.row} number={line.row + 1} to={log.lineHref(line.row + 1)} chosen={isChosen(log, line.row + 1)} />;
  });
}

/** What was missing for the lines drawn is fetched, and a little around it. */
export function fetchAround({ source, layout }: Drawn, first: number, last: number): void {
  for (const place of [last + AHEAD, first - AHEAD]) {
    const line = layout.at(Math.max(0, Math.min(layout.length - 1, place)));
    if (line && !("header" in line)) readRow(source, line.section, line.row);
  }
  source.cache.want(source.reader.takeMissing());
}
