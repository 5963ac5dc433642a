// Everything that can be done by name or by key. Pages add their own while they are shown; the palette and the sheet of
// keys list what is here.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";

export interface Command {
  id: string;
  title: string;
  /** As shown and as pressed: "/", "j", "Escape", "g j" (one after the other). */
  keys?: string;
  /** Where it stands in the sheet. */
  group: string;
  /** Absent: the part of the page that has the focus hears these keys itself, and they are only listed. */
  run?: () => void;
}

export const commands = signal<readonly Command[]>([]);

/** Adds commands; the returned function takes them away again. */
export function addCommands(added: readonly Command[]): () => void {
  commands.value = [...commands.value, ...added];
  return () => {
    commands.value = commands.value.filter((command) => !added.includes(command));
  };
}

/** Commands of a component, there as long as it is. They may change with every rendering as long as ids and keys stay. */
export function useCommands(list: readonly Command[]): void {
  const shape = list.map((command) => `${command.id} ${command.keys ?? ""} ${command.title}`).join("\n");
  const current = useLatest(list);
  useEffect(
    () =>
      addCommands(
        current.now.map((command, at) => (command.run ? { ...command, run: () => current.now[at]?.run?.() } : command)),
      ),
    // eslint-disable-next-line react-hooks/exhaustive-deps -- `current` is the same object for life
    [shape],
  );
}

function useLatest<T>(value: T): { now: T } {
  const [box] = useState(() => ({ now: value }));
  box.now = value;
  return box;
}

const SEQUENCE_MS = 1200;
let first = "";
let firstAt = 0;

/** What a key is called in `keys`; "" for one that is text input's or the browser's. */
function keyName(event: KeyboardEvent): string {
  if (event.ctrlKey || event.metaKey || event.altKey) {
    return (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" ? "Ctrl K" : "";
  }
  return event.key;
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest(".xterm")) return true;
  return /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/** Runs the command of a key press, if there is one. Keys typed into a field are the field's, but for Ctrl K. */
export function pressKey(event: KeyboardEvent): void {
  const key = keyName(event);
  if (!key || (typing(event.target) && key !== "Ctrl K") || document.querySelector("dialog[open]")) return;
  const pair = event.timeStamp - firstAt < SEQUENCE_MS && first ? `${first} ${key}` : "";
  const find = (keys: string): Command | undefined => commands.value.findLast((command) => command.run && command.keys === keys);
  const found = (pair && find(pair)) || find(key);
  first = found ? "" : key;
  firstAt = event.timeStamp;
  if (!found) return;
  event.preventDefault();
  found.run?.();
}
