// The command palette (Ctrl K) and the sheet of keys (?).

import { signal } from "@preact/signals";
import { go, href } from "../router";
import { commands, type Command } from "./commands";
import { Dialog } from "./dialog";
import { Icon } from "./icon";
import { Picker } from "./picker";

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
  const close = (): void => {
    paletteOpen.value = false;
  };
  return (
    <Picker
      title="Commands"
      label="What to do, or a job id"
      find={(text) => matching(commands.value.filter((command) => command.run && command.id !== "palette"), text)}
      keyOf={(command) => command.id}
      draw={(command) => (
        <>
          <span>{command.title}</span>
          {command.keys ? <Keys keys={command.keys} /> : null}
        </>
      )}
      onPick={(command) => {
        close();
        window.setTimeout(() => command.run?.(), 0); // after the dialog has given the focus back
      }}
      onClose={close}
      none="Nothing is called so."
    />
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
