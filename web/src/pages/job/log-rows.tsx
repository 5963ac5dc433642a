// One line of the log: its number, its time, its text. Output is text here, whatever it holds.

import { memo } from "preact/compat";
import { dress } from "../../lib/ansicolour";
import type { Piece } from "../../lib/ansi";
import { duration } from "../../lib/format";
import type { CommandRun } from "../../lib/journal";
import { STDERR } from "../../lib/logblocks";
import type { ShownSection } from "../../lib/logindex";
import type { RowLine } from "../../lib/logread";
import { marks } from "../../lib/logsearch";
import { now } from "../../ui/basics";
import { Icon } from "../../ui/icon";

function span(piece: Piece, text: string, key: string) {
  if (!piece.look) return text;
  const { class: name, style } = dress(piece.look);
  return <span key={key} class={name} style={style}>{text}</span>;
}

/** The pieces of a line with what was searched for marked. */
function pieces(line: RowLine, expression: RegExp | null) {
  const found = expression ? marks(line.text, expression) : [];
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

/** A line's number, which chooses it. */
export const LineNumber = memo(function LineNumber({ number, chosen }: { number: number; chosen: boolean }) {
  return <a class={`log-number${chosen ? " is-chosen" : ""}`} tabIndex={-1} data-row={number} href={`#line-${number}`} aria-label={`Line ${number}`}>{number}</a>;
});

interface RowProps {
  line: RowLine | null;
  time: string | null;
  tint: boolean;
  chosen: boolean;
  current: boolean;
  expression: RegExp | null;
  rawUrl: string;
}

export const Row = memo(function Row({ line, time, tint, chosen, current, expression, rawUrl }: RowProps) {
  const names = ["log-row", chosen ? "is-chosen" : "", current ? "is-current" : "", tint && line?.stream === STDERR ? "is-stderr" : ""];
  return (
    <div class={names.filter(Boolean).join(" ")}>
      {time === null ? null : <span class="log-time">{time}</span>}
      {line ? (
        <span class="log-text">
          {pieces(line, expression)}
          {line.cut > 0 ? <a class="log-cut" href={rawUrl} target="_blank" rel="noopener">{line.cut.toLocaleString("en-US")} more characters, in the raw output</a> : null}
        </span>
      ) : (
        <span class="log-text log-loading">…</span>
      )}
    </div>
  );
});

interface HeaderProps {
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
export function Header({ section, title, run, folded, running, elapsed, onToggle }: HeaderProps) {
  const state = run ? runState(run, running) : "unknown";
  const took = run ? (run.end ?? (running ? Math.max(elapsed, run.begin) : run.begin)) - run.begin : 0;
  return (
    <div class={`log-head log-head-${state}`}>
      <button type="button" tabIndex={-1} class="log-fold" aria-expanded={!folded} onClick={onToggle}>
        <Icon name={folded ? "right" : "fold"} />
        {state === "unknown" ? null : <Icon name={state === "running" ? "spin" : state === "completed" ? "check" : "cross"} />}
        <span class="log-title">{title}</span>
        {run?.end != null && state === "failed" ? <span class="log-exit">{runEnd(run)}</span> : null}
        {folded && section.rows > 0 ? <span class="log-meta">{section.rows.toLocaleString("en-US")} lines</span> : null}
        {run ? <span class="log-meta figure">{run.end === null && !running ? "did not end" : duration(took)}</span> : null}
      </button>
    </div>
  );
}

/** Ms since the attempt began, growing a second at a time. */
export function elapsedSince(startedAt: number | null | undefined): number {
  return startedAt ? Math.max(0, now.value - startedAt) : 0;
}
