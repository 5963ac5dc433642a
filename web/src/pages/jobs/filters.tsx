// What the list is narrowed to.

import { useEffect, useRef, useState } from "preact/hooks";
import { everything, isNarrowed, type Span, type Wanted } from "../../lib/job-list";
import { Icon } from "../../ui/icon";

const TYPING_MS = 300;

interface FiltersProps {
  wanted: Wanted;
  change: (wanted: Wanted) => void;
}

interface TextProps {
  id: string;
  label: string;
  value: string;
  placeholder: string;
  change: (value: string) => void;
}

/** A text that counts when the user pauses. */
function TextFilter({ id, label, value, placeholder, change }: TextProps) {
  const [text, setText] = useState(value);
  const latest = useRef(change); // another one with each drawing, which must not put the change off
  latest.current = change;
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = window.setTimeout(() => latest.current(text), TYPING_MS);
    return () => window.clearTimeout(timer);
  }, [text, value]);
  return (
    <label class={`filter filter-${id}`}>
      <span>{label}</span>
      <input id={`filter-${id}`} type="search" value={text} placeholder={placeholder} spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
    </label>
  );
}

export function Filters({ wanted, change }: FiltersProps) {
  const set = (part: Partial<Wanted>): void => change({ ...wanted, ...part });
  return (
    <form class="filters" role="search" aria-label="Jobs" onSubmit={(event) => event.preventDefault()}>
      <TextFilter id="text" label="Search" value={wanted.text} placeholder="name, command, file, id" change={(text) => set({ text })} />
      <label class="filter">
        <span>State</span>
        <select value={wanted.state} onChange={(event) => set({ state: event.currentTarget.value as Wanted["state"] })}>
          <option value="">any</option>
          <option value="pending">pending</option>
          <option value="running">running</option>
          <option value="completed">completed</option>
          <option value="failed">failed</option>
        </select>
      </label>
      <TextFilter id="worker" label="Worker" value={wanted.worker} placeholder="worker id" change={(worker) => set({ worker })} />
      <TextFilter id="label" label="Label" value={wanted.label} placeholder="key or key=value" change={(label) => set({ label })} />
      <label class="filter">
        <span>Created</span>
        <select value={wanted.span} onChange={(event) => set({ span: event.currentTarget.value as Span })}>
          <option value="">any time</option>
          <option value="hour">in the last hour</option>
          <option value="day">in the last 24 hours</option>
          <option value="week">in the last 7 days</option>
          <option value="custom">between …</option>
        </select>
      </label>
      {wanted.span === "custom" ? (
        <>
          <label class="filter">
            <span>From</span>
            <input type="datetime-local" value={wanted.from} onChange={(event) => set({ from: event.currentTarget.value })} />
          </label>
          <label class="filter">
            <span>To</span>
            <input type="datetime-local" value={wanted.to} onChange={(event) => set({ to: event.currentTarget.value })} />
          </label>
        </>
      ) : null}
      {isNarrowed(wanted) ? (
        <button type="button" class="button quiet small filter-clear" onClick={() => change(everything)}>
          <Icon name="cross" /> Clear
        </button>
      ) : null}
    </form>
  );
}
