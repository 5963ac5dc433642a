// What can be done with the log by name or by key.

import { stored } from "../../lib/storage";
import { useCommands, type Command } from "../../ui/commands";
import { nextTimes, type Times } from "./log-tools";

export const timesShown = stored<Times>("log.times", "off");

interface Moves {
  step: (direction: 1 | -1) => void;
  toStart: () => void;
  toEnd: () => void;
  focusSearch: () => void;
  focusLines: () => void;
  follow: () => void;
}

export const turnTimes = (): void => {
  timesShown.value = nextTimes[timesShown.value];
};

/** What use-log-keys.ts hears while the lines have the focus. */
const lineKeys: readonly Command[] = [
  { id: "line-move", title: "Next line, line before", keys: "\u2193 \u2191" },
  { id: "line-page", title: "A page on, a page back", keys: "PgDn PgUp" },
  { id: "line-space", title: "On a line: a page on; with Shift, a page back", keys: "Space" },
  { id: "line-ends", title: "First line, last line", keys: "Home End" },
  { id: "line-fold", title: "On a command: fold or unfold it", keys: "Enter Space" },
  { id: "line-turn", title: "On a command: unfold it, fold it", keys: "\u2192 \u2190" },
  { id: "line-choose", title: "On a line: choose it, and link to it", keys: "Enter" },
  { id: "line-range", title: "Choose all lines up to this one", keys: "Shift Enter" },
  { id: "line-extend", title: "Choose line by line", keys: "Shift \u2193 \u2191" },
].map((command) => ({ ...command, group: "Lines of the log" }));

export function useLogCommands(moves: Moves): void {
  useCommands([
    { id: "log-search", title: "Search the output", keys: "/", group: "Log", run: moves.focusSearch },
    { id: "log-next", title: "Next match", keys: "n", group: "Log", run: () => moves.step(1) },
    { id: "log-previous", title: "Previous match", keys: "N", group: "Log", run: () => moves.step(-1) },
    { id: "log-follow", title: "Follow new output", keys: "f", group: "Log", run: moves.follow },
    { id: "log-start", title: "To the start of the output", keys: "g g", group: "Log", run: moves.toStart },
    { id: "log-end", title: "To the end of the output", keys: "G", group: "Log", run: moves.toEnd },
    { id: "log-times", title: "Show times of lines", keys: "t", group: "Log", run: turnTimes },
    { id: "log-lines", title: "To the lines of the output", keys: "l", group: "Log", run: moves.focusLines },
    ...lineKeys,
  ]);
}
