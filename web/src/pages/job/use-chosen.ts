// The chosen lines of the log, which are in the address.

import { useRef } from "preact/hooks";
import { setQuery } from "../../router";
import { lineQuery, linesOf } from "./chosen";

/** What of the log the address says: which lines are chosen. */
export function useChosen(query: URLSearchParams) {
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
