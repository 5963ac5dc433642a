// The chosen lines of the log, which are in the address.

import { useEffect, useRef, useState } from "preact/hooks";
import { href, route, setQuery } from "../../router";
import { lineQuery, linesOf } from "./chosen";

const EXTEND_MS = 250; // browsers bound how often an address may change

/** The browser opens a link itself: in another tab, say. */
const isBrowsers = (event: MouseEvent): boolean => event.button !== 0 || event.ctrlKey || event.metaKey || event.altKey;

/** Whose lines are chosen. */
export interface ShownAttempt {
  jobId: string;
  attempt: number;
  /** The job has had no later one, so far. */
  isLast: boolean;
}

/** What of the log the address says: which lines are chosen. */
export function useChosen(query: URLSearchParams, { jobId, attempt, isLast }: ShownAttempt) {
  const [extended, setExtended] = useState<string | null>(null); // on its way into the address
  const chosen = linesOf(extended ?? query.get("line"));
  const timer = useRef<number | undefined>(undefined);
  const anchor = useRef(0); // where a range begins; 0: not known
  const own = useRef(query.get("line") ?? ""); // the line that was chosen here: it is in sight already
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const ask = (change: Record<string, string>): void => {
    window.clearTimeout(timer.current);
    setExtended(null);
    const { stream, line } = { stream: query.get("stream") ?? "", line: query.get("line") ?? "", ...change };
    // Lines are those of an attempt, whichever is the last by the time the link is followed.
    setQuery({ stream, attempt: line === "" && isLast ? "" : String(attempt), line });
  };
  const latest = useRef(ask);
  latest.current = ask;
  const choose = (line: number, range: boolean): void => {
    const from = range && chosen ? anchor.current || chosen[0] : line;
    // By what was chosen last, for the address tells of it a moment later only.
    const same = !range && extended === null && own.current === lineQuery(line, line);
    anchor.current = same ? 0 : from;
    own.current = same ? "" : lineQuery(from, line);
    ask({ line: own.current });
  };
  /** Chooses from where the range begins to `to`. It begins anew at `from` when that is not in it; 0: the head of a command. */
  const extend = (from: number, to: number): void => {
    const goesOn = chosen !== null && (from === 0 || (from >= chosen[0] && from <= chosen[1]));
    anchor.current = goesOn ? anchor.current || chosen[0] : from || to;
    const line = lineQuery(anchor.current, to);
    setExtended(line);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      own.current = line;
      latest.current({ line });
    }, EXTEND_MS);
  };
  const clicked = (event: MouseEvent): void => {
    const number = event.target instanceof Element ? event.target.closest<HTMLElement>(".log-number, .log-pick") : null;
    if (!number || isBrowsers(event)) return;
    event.preventDefault();
    choose(Number(number.dataset.row), event.shiftKey);
  };
  /** The first line of an address that is new since it was last asked; 0: none. */
  const newLine = (): number => {
    // Asked after a picture, when a key may have chosen again: the address as it is, not as it was drawn.
    const line = route.peek().query.get("line") ?? "";
    if (line === own.current) return 0;
    own.current = line;
    anchor.current = 0;
    return linesOf(line)?.[0] ?? 0;
  };
  const stem = href("job", jobId, { stream: query.get("stream") ?? "", attempt: String(attempt) });
  /** The address of a line. */
  const lineHref = (line: number): string => `${stem}&line=${line}`;
  return { chosen, ask, choose, extend, clicked, newLine, lineHref };
}
