// Above the log: which stream, times, folds, search, jumps.

import type { Shown } from "../../lib/logindex";
import { count } from "../../lib/format";
import { Icon } from "../../ui/icon";
import type { Found } from "./use-search";

export type Times = "off" | "clock" | "elapsed";
export const nextTimes: Record<Times, Times> = { off: "clock", clock: "elapsed", elapsed: "off" };

interface ToolsProps {
  shown: Shown;
  onShown: (shown: Shown) => void;
  times: Times;
  onTimes: () => void;
  foldable: boolean;
  onFold: (fold: boolean) => void;
  running: boolean;
  following: boolean;
  onFollow: () => void;
  onStart: () => void;
  onEnd: () => void;
}

const streams: { name: Shown; title: string }[] = [
  { name: "both", title: "Together" },
  { name: "stdout", title: "stdout" },
  { name: "stderr", title: "stderr" },
];

const timesTitles: Record<Times, string> = { off: "Times: off", clock: "Times: of day", elapsed: "Times: since the start" };

export function Tools(props: ToolsProps) {
  const { shown, times, running, following } = props;
  return (
    <div class="log-tools" role="toolbar" aria-label="Log">
      <div class="log-streams" role="group" aria-label="Stream">
        {streams.map(({ name, title }) => (
          <button key={name} type="button" class="button small" aria-pressed={shown === name} onClick={() => props.onShown(name)}>{title}</button>
        ))}
      </div>
      <button type="button" class="button quiet small" aria-pressed={times !== "off"} title={timesTitles[times]} onClick={props.onTimes}>
        <Icon name="clock" />
        <span class="log-wide">{times === "off" ? "Times" : times === "clock" ? "Time of day" : "Since start"}</span>
      </button>
      {props.foldable ? (
        <>
          <button type="button" class="button quiet small" title="Fold all" aria-label="Fold all" onClick={() => props.onFold(true)}><Icon name="right" /></button>
          <button type="button" class="button quiet small" title="Unfold all" aria-label="Unfold all" onClick={() => props.onFold(false)}><Icon name="fold" /></button>
        </>
      ) : null}
      <span class="log-gap" />
      {running ? (
        <button type="button" class="button small" aria-pressed={following} title="Follow (f)" onClick={props.onFollow}>
          <Icon name={following ? "down" : "pause"} />
          {following ? "Following" : "Follow"}
        </button>
      ) : null}
      <button type="button" class="button quiet small" title="To the start (g g)" aria-label="To the start" onClick={props.onStart}><Icon name="up" /></button>
      <button type="button" class="button quiet small" title="To the end (G)" aria-label="To the end" onClick={props.onEnd}><Icon name="down" /></button>
    </div>
  );
}

interface SearchProps {
  found: Found;
  input: { current: HTMLInputElement | null };
  onStep: (direction: 1 | -1) => void;
  onLeave: () => void;
}

function stateOf(found: Found): string {
  if (found.error) return found.error;
  if (!found.marks) return "";
  const part = found.progress < 1 ? ` · ${Math.floor(found.progress * 100)} % searched` : "";
  if (found.total === 0) return found.progress < 1 ? `Searching${part}` : "Nothing found";
  return `${count(found.position)} of ${count(found.total)} lines${part}`;
}

export function SearchBar({ found, input, onStep, onLeave }: SearchProps) {
  const key = (event: KeyboardEvent): void => {
    if (event.key === "Enter") onStep(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") onLeave();
    else return;
    event.preventDefault();
  };
  return (
    <div class="log-search" role="search">
      <Icon name="search" />
      <input ref={input} type="search" aria-label="Search the output" placeholder="Search the output  ( / )" autocomplete="off" spellcheck={false} value={found.text}
        onInput={(event) => found.setText(event.currentTarget.value)} onKeyDown={key} />
      <button type="button" class="button quiet small mono" aria-pressed={found.regex} title="Regular expression" aria-label="Regular expression" onClick={() => found.setRegex(!found.regex)}>.*</button>
      <span class={`log-found figure${found.error ? " is-error" : ""}`} role="status">{stateOf(found)}</span>
      {found.total > 0 ? (
        <>
          <button type="button" class="button quiet small" title="Previous (N)" aria-label="Previous match" onClick={() => onStep(-1)}><Icon name="up" /></button>
          <button type="button" class="button quiet small" title="Next (n)" aria-label="Next match" onClick={() => onStep(1)}><Icon name="down" /></button>
        </>
      ) : null}
    </div>
  );
}
