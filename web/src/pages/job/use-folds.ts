// Which commands of the log are folded.

import { useState } from "preact/hooks";
import type { ShownSection } from "../../lib/logindex";
import type { LogSource } from "../../lib/logsource";
import { runState } from "./log-rows";

/** Which sections are folded: as the user said, else those that went well beside one that did not. */
export function useFolds(source: LogSource, running: boolean) {
  const [said, setSaid] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [wasOver] = useState(!running);
  const failed = source.journal.commands.some((run) => runState(run, running) === "failed");
  const byItself = (section: ShownSection): boolean => {
    const run = source.journal.commands[section.command - 1];
    return wasOver && failed && run !== undefined && runState(run, running) === "completed";
  };
  return { folded: (section: ShownSection): boolean => said.get(section.key) ?? byItself(section), said, setSaid };
}
