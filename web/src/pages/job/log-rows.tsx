// One line of the log: its number, its time, its text. Output is text here, whatever it holds.

import { memo } from "preact/compat";
import { dress } from "../../lib/ansicolour";
import type { Piece } from "../../lib/ansi";
import { duration } from "../../lib/format";
import type { CommandRun } from "../../lib/journal";
import { STDERR } from "../../lib/logblocks";
import type { ShownSection } from "../../lib/logindex";
import type { RowLine } from "../../lib/logread";
import type { Marks } from "../../lib/matcher";
import { now } from "../../ui/basics";
import { Icon } from "../../ui/icon";

function span(piece: Piece, text: string, key: string) {
  if (!piece.look) return text;
  const { class: name, style } = dress(piece.look);
  return <span key={key} class={name} style={style}>{text}</span>;
}

/** The pieces of a line with what was searched for marked. */
function pieces(line: RowLine, found: Marks) {
  if (found.length === 0) return line.pieces.map((piece, at) => span(piece, piece.text, String(at)));
  const out = [];
  let base = 0;
  for (const [at, piece] of line.pieces.entries()) {
    let from = 0;
    for (const [begin, end] of found) {
      const a = Math.max(from, begin - base);
      const b = Math.min(piece.text.length, end - base);
      if (b <= a) continue;
      if (a > from) out.push(span(piece, piece.text.slice(from, a), `${at}.${from}`));
      out.push(<mark key={`m${at}.${a}`}>{span(piece, piece.text.slice(a, b), "0")}</mark>);
      from = b;
    }
    if (from < piece.text.length) out.push(span(piece, piece.text.slice(from), `${at}.${from}`));
    base += piece.text.length;
  }
  return out;
}

/** What all lines have, of text or the head of a command: they are the rows of a tree. */
interface LineProps {
  /** From the top of what is shown, from 1. */
  index: number;
  /** It is the current line. */
  here: boolean;
}

/** The ids that the elements of a row and of a head have while they are the current line. */
export function rowId(row: number): string {
  return `log-row-${row}`;
}
export function headId(key: string): string {
  return `log-head-${key}`;
}

/** A line's number, which chooses it. For pointers: screen readers have the heads of the rows. */
export const LineNumber = memo(function LineNumber({ number, to, chosen }: { number: number; to: string; chosen: boolean }) {
  return <a class={`log-number${chosen ? " is-chosen" : ""}`} tabIndex={-1} data-row={number} href={to}>{number}</a>;
});

interface RowProps extends LineProps {
  row: number;
  level: number;
  line: RowLine | null;
  time: string | null;
  tint: boolean;
  chosen: boolean;
  current: boolean;
  /** Where it matches what is searched for. */
  marks: Marks | undefined;
  rawUrl: string;
}

export const Row = memo(function Row({ row, index, level, here, line, time, tint, chosen, current, marks, rawUrl }: RowProps) {
  const names = ["log-row", here ? "is-here" : "", chosen ? "is-chosen" : "", current ? "is-current" : "", tint && line?.stream === STDERR ? "is-stderr" : ""];
  return (
    <div class={names.filter(Boolean).join(" ")} role="row" aria-rowindex={index} aria-level={level} aria-selected={chosen || undefined} id={here ? rowId(row) : undefined}>
      <span role="rowheader" class="log-pick-cell"><button type="button" class="log-pick" tabIndex={-1} data-row={row + 1} aria-label={`Line ${row + 1}`} /></span>
      {time === null ? null : <span role="gridcell" class="log-time">{time}</span>}
      {line ? (
        <span role="gridcell" class="log-text">
          {pieces(line, marks ?? [])}
          {line.cut > 0 ? <a class="log-cut" href={rawUrl} target="_blank" rel="noopener">{line.cut.toLocaleString("en-US")} more characters, in the raw output</a> : null}
        </span>
      ) : (
        <span role="gridcell" class="log-text log-loading">…</span>
      )}
    </div>
  );
});

interface HeaderProps extends LineProps {
  section: ShownSection;
  title: string;
  run: CommandRun | null;
  folded: boolean;
  running: boolean;
  elapsed: number;
  onToggle: () => void;
}

/** How a command stands, for the header and the timeline. */
export function runState(run: CommandRun, running: boolean): "running" | "completed" | "failed" | "unknown" {
  if (run.end === null) return running ? "running" : "unknown";
  return run.exitCode === 0 && run.signal === null ? "completed" : "failed";
}

/** How a command ended, in words. */
export function runEnd(run: CommandRun): string {
  return run.signal ? `signal ${run.signal}` : `exit ${run.exitCode ?? "?"}`;
}

/** The foldable head of a command's output. */
export function Header({ section, index, here, title, run, folded, running, elapsed, onToggle }: HeaderProps) {
  const state = run ? runState(run, running) : "unknown";
  const took = run ? (run.end ?? (running ? Math.max(elapsed, run.begin) : run.begin)) - run.begin : 0;
  return (
    <div class={`log-head log-head-${state}${here ? " is-here" : ""}`} role="row" aria-rowindex={index} aria-level={1} aria-expanded={!folded} id={here ? headId(section.key) : undefined}>
      <span role="gridcell" class="log-head-cell">
        <button type="button" tabIndex={-1} class="log-fold" aria-expanded={!folded} onClick={onToggle}>
          <Icon name={folded ? "right" : "fold"} />
          {state === "unknown" ? null : <Icon name={state === "running" ? "spin" : state === "completed" ? "check" : "cross"} />}
          <span class="log-title">{title}</span>
          {state === "running" ? <span class="hidden">running</span> : null}
          {run?.end != null ? <span class={state === "failed" ? "log-exit" : "log-meta"}>{runEnd(run)}</span> : null}
          {folded && section.rows > 0 ? <span class="log-meta">{section.rows.toLocaleString("en-US")} lines</span> : null}
          {run ? <span class="log-meta figure">{run.end === null && !running ? "did not end" : duration(took)}</span> : null}
        </button>
      </span>
    </div>
  );
}

/** Ms since the attempt began, growing a second at a time. */
export function elapsedSince(startedAt: number | null | undefined): number {
  return startedAt ? Math.max(0, now.value - startedAt) : 0;
}
