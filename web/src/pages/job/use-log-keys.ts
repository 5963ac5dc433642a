// The keys of the log while its lines have the focus: a current line, which they move and act on.

import { useState } from "preact/hooks";
import { hereAt, moved, moveOf, pageOf, placeOfHere, turnsFold, type Here, type Move } from "../../lib/logcursor";
import type { Layout, ShownSection } from "../../lib/logindex";
import type { LogControl } from "./log-view";

interface Acts {
  layout: Layout;
  control: { current: LogControl | null };
  following: boolean;
  folded: (section: ShownSection) => boolean;
  onToggle: (section: ShownSection) => void;
  choose: (line: number, range: boolean) => void;
  extend: (from: number, to: number) => void;
  toStart: () => void;
  toEnd: () => void;
  /** The user looks at something else than the end. */
  leaveEnd: () => void;
}

function rowAt(layout: Layout, place: number): number {
  const line = layout.at(place);
  return line && !("header" in line) ? line.row : -1;
}

export function useLogKeys({ layout, control, following, folded, onToggle, choose, extend, toStart, toEnd, leaveEnd }: Acts) {
  const [here, setHere] = useState<Here | null>(null);
  const [shown, setShown] = useState(false); // by keys; a pointer needs no such line, but says where keys begin
  const place = placeOfHere(layout, here);

  const begin = (): void => {
    const sight = control.current?.sight();
    if (!sight) return;
    setShown(true);
    if (place < sight.first || place > sight.last) setHere(hereAt(layout, following ? sight.last : sight.first));
  };
  const go = (move: Move, range: boolean): void => {
    const view = control.current;
    if (!view) return;
    const sight = view.sight();
    const to = moved(move, place, sight, layout.length);
    if (to < layout.length - 1) leaveEnd();
    if (move === "first") toStart();
    else if (move === "last") toEnd();
    else {
      if (move === "pageUp" || move === "pageDown") view.scroll(pageOf(sight) * (move === "pageUp" ? -1 : 1));
      view.near(to);
    }
    setHere(hereAt(layout, to));
    const row = rowAt(layout, to);
    if (range && row >= 0) extend(rowAt(layout, place) + 1, row + 1);
  };
  const act = (range: boolean): void => {
    const sight = control.current?.sight();
    const line = layout.at(place);
    if (!sight || !line || place < sight.first || place > sight.last) begin();
    else if ("header" in line) onToggle(line.header);
    else choose(line.row + 1, range);
  };
  /** The command to fold or unfold by a key to a side; null: none, and the browser scrolls. */
  const turned = (key: string): ShownSection | null => {
    const sight = control.current?.sight();
    const line = layout.at(place);
    if (!sight || !line || !("header" in line) || place < sight.first || place > sight.last) return null;
    return turnsFold(key, folded(line.header)) ? line.header : null;
  };
  const pressed = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inner = event.target !== event.currentTarget; // a link or a button among the lines, which hears Enter itself
    const onLine = rowAt(layout, place) >= 0;
    let move = moveOf(event.key);
    if (event.key === " " && !inner && onLine) move = event.shiftKey ? "pageUp" : "pageDown"; // as a page does, and less
    const turn = event.shiftKey ? null : turned(event.key);
    if (!move && !turn && (inner || (event.key !== "Enter" && event.key !== " "))) return;
    event.preventDefault();
    setShown(true);
    if (inner) control.current?.focus();
    if (turn) onToggle(turn);
    else if (move) go(move, event.shiftKey && event.key !== " ");
    else act(event.shiftKey);
  };
  const pointed = (event: MouseEvent): void => {
    if (event.detail === 0) return; // no pointer's, but a key's
    setShown(false);
    const at = control.current?.placeAt(event.clientY) ?? -1;
    if (at >= 0) setHere(hereAt(layout, at));
  };
  const focused = (event: FocusEvent): void => {
    if (event.target === event.currentTarget && (event.currentTarget as HTMLElement).matches(":focus-visible")) begin();
  };
  /** Makes a row the one where keys go on. */
  const put = (row: number): void => setHere({ row });
  return { place: shown ? place : -1, pressed, pointed, focused, begin, put };
}
