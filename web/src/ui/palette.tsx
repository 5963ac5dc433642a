// The command palette (Ctrl K) and the sheet of keys (?).

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { go, href } from "../router";
import { commands, type Command } from "./commands";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

export const paletteOpen = signal(false);
export const sheetOpen = signal(false);

const JOB_ID = /^job-\d{13}-[0-9a-z]{9}$/;
const SHOWN_MAX = 12;

/** Commands whose title has all words of `text`; a job id leads to that job. */
export function matching(list: readonly Command[], text: string): Command[] {
  const wanted = text.trim();
  if (JOB_ID.test(wanted))
    return [{ id: "job", title: `Open ${wanted}`, group: "Jobs", run: () => go(href("job", wanted)) }];
  const words = wanted.toLowerCase().split(/\s+/);
  return list.filter((command) => words.every((word) => command.title.toLowerCase().includes(word))).slice(0, SHOWN_MAX);
}

export function Palette() {
  return paletteOpen.value ? <PaletteDialog /> : null;
}

function PaletteDialog() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const found = matching(commands.value.filter((command) => command.id !== "palette"), text);
  const close = (): void => {
    paletteOpen.value = false;
  };
  const choose = (command: Command | undefined): void => {
    if (!command) return;
    close();
    window.setTimeout(command.run, 0); // after the dialog has given the focus back
  };
  useEffect(() => input.current?.focus(), []);
  const key = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step) setAt((at + step + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") choose(found[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Commands" class="palette" onClose={close}>
      <div class="palette-input">
        <Icon name="search" />
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={found[at] ? `palette-${at}` : undefined}
          aria-label="What to do, or a job id"
          placeholder="What to do, or a job id"
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
      <div id="palette-list" role="listbox" aria-label="Commands" class="palette-list">
        {found.map((command, place) => (
          // eslint-disable-next-line jsx-a11y/click-events-have-key-events -- the input above has the keys
          <div
            key={command.id}
            id={`palette-${place}`}
            role="option"
            tabIndex={-1}
            aria-selected={place === at}
            class="palette-item"
            onClick={() => choose(command)}
            onMouseMove={() => setAt(place)}
          >
            <span>{command.title}</span>
            {command.keys ? <Keys keys={command.keys} /> : null}
          </div>
        ))}
        {found.length === 0 ? <p class="faint palette-none">Nothing is called so.</p> : null}
      </div>
    </Dialog>
  );
}

function Keys({ keys }: { keys: string }) {
  return (
    <span class="keys">
      {keys.split(" ").map((key, at) => (
        <kbd key={at}>{key === "Escape" ? "Esc" : key}</kbd>
      ))}
    </span>
  );
}

export function Sheet() {
  if (!sheetOpen.value) return null;
  const keyed = commands.value.filter((command) => command.keys);
  const groups = [...new Set(keyed.map((command) => command.group))];
  const close = (): void => {
    sheetOpen.value = false;
  };
  return (
    <Dialog title="Keys" onClose={close}>
      <div class="sheet-head">
        <h2>Keys</h2>
        <button type="button" class="button quiet small" aria-label="Close" onClick={close}>
          <Icon name="cross" />
        </button>
      </div>
      <div class="sheet">
        {groups.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {keyed
                .filter((command) => command.group === group)
                .map((command) => (
                  <div key={command.id}>
                    <dt>{command.title}</dt>
                    <dd>
                      <Keys keys={command.keys ?? ""} />
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
