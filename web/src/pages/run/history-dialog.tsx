// Earlier commands, to be searched and picked.

import { found, history, type Past } from "../../lib/history";
import { Time } from "../../ui/basics";
import { confirm } from "../../ui/dialog";
import { Picker } from "../../ui/picker";

const LINES_SHOWN = 3;

interface HistoryProps {
  onPick: (command: string) => void;
  onClose: () => void;
}

function drawPast(past: Past) {
  const lines = past.command.split("\n");
  return (
    <>
      <code>
        {lines.slice(0, LINES_SHOWN).join("\n")}
        {lines.length > LINES_SHOWN ? ` … (${lines.length} lines)` : ""}
      </code>
      <span class="faint">
        <Time ms={past.at} />
      </span>
    </>
  );
}

export function HistoryDialog({ onPick, onClose }: HistoryProps) {
  const clear = async (): Promise<void> => {
    onClose();
    if (await confirm("Forget all earlier commands?", "This browser's list is emptied. Jobs are not touched.", "Forget them", true)) history.value = [];
  };
  return (
    <Picker
      title="Earlier commands"
      label="Search earlier commands"
      find={(text) => found(history.value, text)}
      keyOf={(past) => past.command}
      draw={drawPast}
      onPick={(past) => onPick(past.command)}
      onClose={onClose}
      none={history.value.length ? "No command has these words." : "Nothing was run from this browser yet."}
      itemClass="past"
      foot={
        <div class="past-foot">
          <span class="faint">The last 50, kept in this browser.</span>
          <button type="button" class="button quiet small" disabled={!history.value.length} onClick={() => void clear()}>
            Forget all
          </button>
        </div>
      }
    />
  );
}
