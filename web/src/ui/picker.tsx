// A dialog to pick one of a list by typing: an input that narrows it, arrows and Enter, or the mouse.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "./dialog";
import { Icon } from "./icon";

interface PickerProps<T> {
  title: string;
  /** What the input asks for. */
  label: string;
  /** The items that a text leaves, the likeliest first. */
  find: (text: string) => readonly T[];
  keyOf: (item: T) => string;
  draw: (item: T) => ComponentChildren;
  onPick: (item: T) => void;
  onClose: () => void;
  /** What stands in place of an empty list. */
  none: string;
  itemClass?: string;
  foot?: ComponentChildren;
}

interface ItemProps {
  id: string;
  selected: boolean;
  class: string;
  onPick: () => void;
  onPoint: () => void;
  children: ComponentChildren;
}

function Item({ id, selected, class: className, onPick, onPoint, children }: ItemProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (selected) element.current?.scrollIntoView({ block: "nearest" });
  }, [selected]);
  return (
    // eslint-disable-next-line jsx-a11y/click-events-have-key-events -- the input above has the keys
    <div ref={element} id={id} role="option" tabIndex={-1} aria-selected={selected} class={className} onClick={onPick} onMouseMove={onPoint}>
      {children}
    </div>
  );
}

export function Picker<T>({ title, label, find, keyOf, draw, onPick, onClose, none, itemClass = "", foot }: PickerProps<T>) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const list = find(text);
  const key = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    const chosen = list[at];
    if (step) setAt((at + step + list.length) % Math.max(1, list.length));
    else if (event.key === "Enter" && chosen) onPick(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={title} class="palette" onClose={onClose}>
      <div class="palette-input">
        <Icon name="search" />
        <input
          ref={input}
          type="text"
          role="combobox"
          aria-expanded="true"
          aria-controls="picker-list"
          aria-activedescendant={list[at] ? `picker-${at}` : undefined}
          aria-label={label}
          placeholder={label}
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
      <div id="picker-list" role="listbox" aria-label={title} class="palette-list">
        {list.map((item, place) => (
          <Item key={keyOf(item)} id={`picker-${place}`} selected={place === at} class={`palette-item ${itemClass}`} onPick={() => onPick(item)} onPoint={() => setAt(place)}>
            {draw(item)}
          </Item>
        ))}
        {list.length === 0 ? <p class="faint palette-none">{none}</p> : null}
      </div>
      {foot}
    </Dialog>
  );
}
