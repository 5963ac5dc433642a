// The line above the list: counts that are also what to show, the filter, cards or table.

import type { RefObject } from "preact";
import { count, plural } from "../../lib/format";
import { setQuery } from "../../router";
import { Icon } from "../../ui/icon";
import { states, type Counts, type Wanted } from "./model";

interface FiltersProps {
  input: RefObject<HTMLInputElement | null>;
  counts: Counts;
  wanted: Wanted;
  text: string;
  found: number;
  view: "cards" | "table";
  setView: (to: "cards" | "table") => void;
}

function Chips({ counts, wanted, text }: { counts: Counts; wanted: Wanted; text: string }) {
  const chips: { want: Wanted; word: string; number: number; title?: string }[] = [
    { want: "", word: "All", number: counts.all },
    ...states.map((state) => ({ want: state, word: state[0]!.toUpperCase() + state.slice(1), number: counts[state] })),
    { want: "free", word: "Free slots", number: counts.freeSlots, title: `${plural(counts.freeSlots, "free slot")} on ${plural(counts.free, "worker")}` },
  ];
  return (
    <div class="state-chips" role="group" aria-label="Show workers by state">
      {chips.map(({ want, word, number, title }) => (
        <button
          key={want}
          type="button"
          class={`state-chip${want ? ` state-chip-${want}` : ""}${number ? "" : " state-chip-none"}`}
          aria-pressed={wanted === want}
          title={title}
          onClick={() => setQuery({ text, state: wanted === want ? "" : want })}
        >
          <span class="state-chip-number figure">{count(number)}</span> <span class="state-chip-word">{word}</span>
        </button>
      ))}
    </div>
  );
}

export function Filters({ input, counts, wanted, text, found, view, setView }: FiltersProps) {
  return (
    <div class="workers-filters">
      <Chips counts={counts} wanted={wanted} text={text} />
      <div class="workers-bar">
        <div class="workers-search">
          <Icon name="search" />
          <input
            ref={input}
            type="search"
            aria-label="Filter by host, id, system, version, job or label"
            placeholder="Host, id, label…"
            autocomplete="off"
            spellcheck={false}
            value={text}
            onInput={(event) => setQuery({ text: event.currentTarget.value, state: wanted })}
            onKeyDown={(event) => {
              if (event.key === "Escape") event.currentTarget.blur();
            }}
          />
          <kbd aria-hidden="true">/</kbd>
        </div>
        <span class="faint figure" role="status">
          {wanted || text.trim() ? `${count(found)} of ${plural(counts.all, "worker")}` : plural(counts.all, "worker")}
        </span>
        <div class="workers-view" role="group" aria-label="Show as">
          {(["cards", "table"] as const).map((one) => (
            <button key={one} type="button" class="button small" aria-pressed={view === one} onClick={() => setView(one)}>
              {one === "cards" ? "Cards" : "Table"}
            </button>
          ))}
        </div>
      </div>
    </div>
  );
}
