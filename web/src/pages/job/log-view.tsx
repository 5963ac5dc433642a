// The window into the lines: draws only those that are seen, however many there are.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Sight } from "../../lib/logcursor";
import { ScrollMap } from "../../lib/logscroll";

export const ROW = 20;
const SETTLE_MS = 160;

/** What others may ask of the window. */
export interface LogControl {
  toStart: () => void;
  toEnd: () => void;
  /** Brings a line into the middle unless it is seen. */
  reveal: (place: number) => void;
  /** Scrolls no further than needed to see all of a line. */
  near: (place: number) => void;
  /** Scrolls by lines. */
  scroll: (lines: number) => void;
  sight: () => Sight;
  /** The line at a height of the window of the browser; -1: none. */
  placeAt: (clientY: number) => number;
  focus: () => void;
}

interface Props {
  length: number;
  following: boolean;
  /** Characters of the widest line seen. */
  columns: number;
  label: string;
  /** The current line and the id of its element; -1: none. */
  here: number;
  hereId: string;
  control: { current: LogControl | null };
  onFollow: (follow: boolean) => void;
  /** Called before the lines from `first` to `last` are drawn, and after. */
  draw: (first: number, last: number) => ComponentChildren;
  /** Their numbers, which stay at the left when the text is scrolled sideways. One layer: one a line would be slow. */
  drawNumbers: (first: number, last: number) => ComponentChildren;
  drawn: (first: number, last: number) => void;
  onClick: (event: MouseEvent) => void;
  onKeyDown: (event: KeyboardEvent) => void;
  onFocus: (event: FocusEvent) => void;
}

/** Which lines are wholly in sight. */
function sightOf(top: number, height: number, length: number): Sight {
  return { first: Math.ceil(top / ROW), last: Math.min(length, Math.floor((top + height) / ROW)) - 1 };
}

/** The nearest top that shows all of a line. */
function topNear(place: number, top: number, height: number): number {
  return Math.max((place + 1) * ROW - height, Math.min(top, place * ROW));
}

export function LogView(props: Props) {
  const { length, following, columns, label, here, control, onFollow, draw, drawNumbers, drawn } = props;
  const box = useRef<HTMLDivElement>(null);
  const [map] = useState(() => new ScrollMap());
  const [height, setHeight] = useState(480);
  const [, redraw] = useState(0);
  const placed = useRef(false);
  const settle = useRef<number | undefined>(undefined);
  map.resize(length * ROW, height);
  if (following && map.top !== map.topMax) {
    map.top = map.topMax;
    placed.current = true;
  }
  const first = Math.floor(map.top / ROW);
  const last = Math.min(length, first + Math.ceil(height / ROW) + 1);

  const shift = `${first * ROW - map.top}px`;

  const resized = (now: number): void => {
    const sight = sightOf(map.top, height, length);
    if (here >= sight.first && here <= sight.last && now !== height) { // a bar above came or went: the current line stays in sight
      map.top = topNear(here, map.top, now);
      placed.current = true;
    }
    setHeight(now);
  };
  const onResize = useRef(resized);
  onResize.current = resized;
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => {
      element.style.setProperty("--log-seen", `${element.clientWidth}px`); // 100cqw has the scroll bar's width in it
      onResize.current(element.clientHeight);
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      window.clearTimeout(settle.current);
    };
  }, []);

  const put = (): void => {
    const element = box.current;
    if (!element) return;
    element.scrollTop = map.bar;
    map.put(element.scrollTop);
    placed.current = false;
  };
  useLayoutEffect(() => {
    if (placed.current || map.strained) put();
    drawn(first, last);
  });

  const jump = (top: number): void => {
    map.top = Math.max(0, Math.min(map.topMax, top));
    placed.current = true;
    redraw((round) => round + 1);
  };
  control.current = {
    toStart: () => jump(0),
    toEnd: () => jump(map.topMax),
    reveal: (place) => {
      const top = place * ROW;
      if (top < map.top + ROW || top > map.top + height - 2 * ROW) jump(top - height / 3);
    },
    near: (place) => {
      const top = topNear(place, map.top, height);
      if (top !== map.top) jump(top);
    },
    scroll: (lines) => jump(map.top + lines * ROW),
    sight: () => sightOf(map.top, height, length),
    placeAt: (clientY) => {
      const place = Math.floor((clientY - (box.current?.getBoundingClientRect().top ?? 0) + map.top) / ROW);
      return place >= 0 && place < length ? place : -1;
    },
    focus: () => box.current?.focus({ preventScroll: true }),
  };

  const scrolled = (): void => {
    const element = box.current;
    if (!element) return;
    if (element.clientHeight !== height) {
      resized(element.clientHeight); // the browser moved the bar for a new size, not the user
      map.put(element.scrollTop);
      return;
    }
    const before = map.top;
    map.moved(element.scrollTop);
    if (map.top < before - 1 && !map.atEnd) onFollow(false);
    else if (map.top > before && map.atEnd) onFollow(true);
    window.clearTimeout(settle.current);
    settle.current = window.setTimeout(() => {
      if (box.current?.scrollTop === map.seen) put(); // else the user moves it just now
    }, SETTLE_MS);
    redraw((round) => round + 1);
  };

  // What is pressed among the lines may soon be out of sight and gone: the focus is the whole's.
  const pressed = (event: MouseEvent): void => {
    if (event.button !== 0 || !(event.target instanceof Element) || !event.target.closest(".log-fold, .log-number, .log-pick")) return;
    event.preventDefault();
    control.current?.focus();
  };

  return (
    <div ref={box} class="log-box" role="treegrid" aria-label={label} aria-rowcount={length} aria-multiselectable="true" aria-activedescendant={here >= first && here < last ? props.hereId : undefined} tabIndex={0}
      onScroll={scrolled} onClick={props.onClick} onMouseDown={pressed} onKeyDown={props.onKeyDown} onFocus={props.onFocus}>
      <div class="log-space" style={{ height: `${map.height}px`, minWidth: `calc(${columns}ch + 9rem)` }}>
        <div class="log-window" style={{ height: `${Math.min(height, map.height)}px` }}>
          <div class="log-numbers" aria-hidden="true" style={{ marginTop: shift }}>{drawNumbers(first, last)}</div>
          <div class="log-lines" style={{ marginTop: shift }}>{draw(first, last)}</div>
        </div>
      </div>
    </div>
  );
}
