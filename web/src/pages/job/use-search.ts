// The search of the log: what is looked for, what was found, where we are in it.

import { useEffect, useMemo, useState } from "preact/hooks";
import type { Column } from "../../lib/logblocks";
import { firstWhere, type PartOfView } from "../../lib/logindex";
import { Search } from "../../lib/logsearch";
import type { LogSource } from "../../lib/logsource";
import { matcher, type Marks } from "../../lib/matcher";
import { plainNeedle, regexNeedle, type Needle } from "../../lib/needle";

const TYPING_MS = 150;
const TELL_MS = 80;
const AGAIN_MS = 1000; // after bytes that were not there yet, or a call that failed

export interface Found {
  text: string;
  regex: boolean;
  setText: (text: string) => void;
  setRegex: (regex: boolean) => void;
  /** What is wrong with the expression, or why the search has ended; "" when nothing is. */
  error: string;
  /** Where a line has it; null: nothing is looked for. */
  marks: ((text: string) => Marks) | null;
  /** Matching lines so far. */
  total: number;
  /** From 1; 0: at none. */
  position: number;
  /** Share that was looked through, 0 to 1. */
  progress: number;
  /** The matching row after (1) or before (-1) the present one; null: there is none. */
  step: (direction: 1 | -1) => number | null;
  row: number;
}

/** The matching rows of all parts as one list. */
function lookup(search: Search | null, parts: readonly PartOfView[]) {
  const lists: { base: number; before: number; rows: Column<Uint32Array> | undefined }[] = [];
  let base = 0;
  let total = 0;
  for (const { part } of parts) {
    const rows = search?.rows(part);
    lists.push({ base, before: total, rows });
    base += part.rows;
    total += rows?.length ?? 0;
  }
  return {
    total,
    at: (place: number): number => {
      const list = lists.findLast((one) => one.before <= place && (one.rows?.length ?? 0) > 0);
      return list?.rows ? list.base + list.rows.at(place - list.before) : -1;
    },
  };
}

/** What is looked for, in a worker when it is an expression; and why that one has failed, "" while it has not. */
function useNeedle(asked: string, regex: boolean, changed: () => void): { needle: Needle | null; error: string } {
  const [failure, setFailure] = useState<{ of: unknown; why: string } | null>(null);
  const expression = useMemo(() => (asked ? matcher(asked, regex) : null), [asked, regex]);
  const needle = useMemo(() => {
    if (!(expression instanceof RegExp)) return null;
    return regex ? regexNeedle(expression, changed, (why) => setFailure({ of: expression, why })) : plainNeedle(expression);
  }, [expression]); // eslint-disable-line react-hooks/exhaustive-deps -- one an expression, which is another one when `regex` is
  useEffect(() => () => needle?.close(), [needle]);
  const failed = failure && failure.of === expression ? failure.why : "";
  return { needle, error: typeof expression === "string" ? expression : failed };
}

/** `first`: the row from which the first match is taken. */
export function useSearch(source: LogSource, parts: readonly PartOfView[], version: number, first: () => number, onMatch: (row: number) => void): Found {
  const [text, setText] = useState("");
  const [regex, setRegex] = useState(false);
  const [asked, setAsked] = useState("");
  const [row, setRow] = useState(-1);
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = window.setTimeout(() => setAsked(text), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  const { needle, error } = useNeedle(asked, regex, () => redraw((round) => round + 1));
  const search = useMemo(() => {
    let told = 0;
    if (!needle) return null;
    return new Search(needle.matching, (wanted, signal) => source.read(wanted, signal), () => {
      if (performance.now() - told < TELL_MS) return;
      told = performance.now();
      redraw((round) => round + 1);
    });
  }, [needle, source]);
  const main = parts[0]?.part;
  useEffect(() => {
    setRow(-1);
  }, [search]);
  const runner = useMemo(() => ({ busy: false, abort: new AbortController() }), [search, main]); // eslint-disable-line react-hooks/exhaustive-deps -- one a search
  useEffect(() => () => runner.abort.abort(), [runner]);
  const [again, setAgain] = useState(0);
  useEffect(() => {
    if (!search || !needle || needle.over() || runner.busy) return;
    runner.busy = true;
    const over = (all: boolean): void => {
      runner.busy = false;
      redraw((round) => round + 1);
      if (!all && !source.gone && !needle.over() && !runner.abort.signal.aborted) window.setTimeout(() => setAgain((round) => round + 1), AGAIN_MS);
    };
    search.run(parts.map(({ part }) => part), runner.abort.signal).then(over, () => over(false));
    // eslint-disable-next-line react-hooks/exhaustive-deps -- parts grow in place; `version` tells
  }, [search, needle, runner, version, again]);
  const found = lookup(search, parts);
  useEffect(() => {
    if (row >= 0 || found.total === 0) return;
    const place = firstWhere(found.total, (index) => found.at(index) >= first());
    const target = found.at(place < found.total ? place : 0);
    setRow(target);
    onMatch(target);
    // eslint-disable-next-line react-hooks/exhaustive-deps -- once a search, with its first match
  }, [found.total > 0, row, search]);
  const all = parts.reduce((sum, { part }) => sum + part.bytes, 0);
  return {
    text, regex, setText, setRegex, row, error,
    marks: needle?.marks ?? null,
    total: found.total,
    position: row < 0 ? 0 : firstWhere(found.total, (index) => found.at(index) >= row) + 1,
    progress: all > 0 ? Math.min(1, (search?.scanned ?? 0) / all) : 1,
    step: (direction) => {
      if (found.total === 0) return null;
      const here = firstWhere(found.total, (index) => found.at(index) >= row);
      const onIt = here < found.total && found.at(here) === row;
      const next = direction > 0 ? (onIt ? here + 1 : here) : here - 1;
      const target = found.at((next + found.total) % found.total);
      setRow(target);
      return target;
    },
  };
}
