// What can be done with the log by name or by key.

import { stored } from "../../lib/storage";
import { useCommands } from "../../ui/commands";
import { nextTimes, type Times } from "./log-tools";

export const timesShown = stored<Times>("log.times", "off");

interface Moves {
  step: (direction: 1 | -1) => void;
  toStart: () => void;
  toEnd: () => void;
  focusSearch: () => void;
  follow: () => void;
}

export const turnTimes = (): void => {
  timesShown.value = nextTimes[timesShown.value];
};

export function useLogCommands(moves: Moves): void {
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
