// Earlier commands, to be searched and picked.

import { useEffect, useRef, useState } from "preact/hooks";
import { found, history, type Past } from "../../lib/history";
import { Time } from "../../ui/basics";
import { confirm, Dialog } from "../../ui/dialog";
import { Icon } from "../../ui/icon";

interface HistoryProps {
  onPick: (command: string) => void;
  onClose: () => void;
}

function Item({ past, at, selected, onPick, onPoint }: { past: Past; at: number; selected: boolean; onPick: () => void; onPoint: () => void }) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (selected) element.current?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  const lines = past.command.split("\n");
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events -- the input above has the keys
    <div ref={element} id={`past-${at}`} role="option" tabIndex={-1} aria-selected={selected} class="palette-item past" onClick={onPick} onMouseMove={onPoint}>
      <code>
        {lines.slice(0, 3).join("\n")}
        {lines.length > 3 ? ` … (${lines.length} lines)` : ""}
      </code>
      <span class="faint">
        <Time ms={past.at} />
      </span>
    </div>
  );
}

export function HistoryDialog({ onPick, onClose }: HistoryProps) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const list = found(history.value, text);
  const key = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const chosen = list[at];
    if (step) setAt((at + step + list.length) % Math.max(1, list.length));
    else if (event.key === "Enter" && chosen) onPick(chosen.command);
    else return;
    event.preventDefault();
  };
  const clear = async (): Promise<void> => {
    onClose();
    if (await confirm("Forget all earlier commands?", "This browser's list is emptied. Jobs are not touched.", "Forget them", true)) history.value = [];
  };
  return (
    <Dialog title="Earlier commands" class="palette" onClose={onClose}>
      <div class="palette-input">
        <Icon name="search" />
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls="past-list"
          aria-activedescendant={list[at] ? `past-${at}` : undefined}
          aria-label="Search earlier commands"
          placeholder="Search earlier commands"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setAt(0);
          }}
          onKeyDown={key}
        />
      </div>
      <div id="past-list" role="listbox" aria-label="Earlier commands" class="palette-list">
        {list.map((past, place) => (
          <Item key={past.command} past={past} at={place} selected={place === at} onPick={() => onPick(past.command)} onPoint={() => setAt(place)} />
        ))}
        {list.length === 0 ? <p class="faint palette-none">{history.value.length ? "No command has these words." : "Nothing was run from this browser yet."}</p> : null}
      </div>
      <div class="past-foot">
        <span class="faint">The last 50, kept in this browser.</span>
        <button type="button" class="button quiet small" disabled={!history.value.length} onClick={() => void clear()}>
          Forget all
        </button>
      </div>
    </Dialog>
  );
}
