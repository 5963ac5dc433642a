// The window into the lines: draws only those that are seen, however many there are.

import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { ScrollMap } from "../../lib/logscroll";

export const ROW = 20;
const SETTLE_MS = 160;

/** What others may ask of the window. */
export interface LogControl {
  toStart: () => void;
  toEnd: () => void;
  /** Brings a line into the middle unless it is seen. */
  reveal: (place: number) => void;
  focus: () => void;
}

interface Props {
  length: number;
  following: boolean;
  /** Characters of the widest line seen. */
  columns: number;
  label: string;
  control: { current: LogControl | null };
  onFollow: (follow: boolean) => void;
  /** Called before the lines from `first` to `last` are drawn, and after. */
  draw: (first: number, last: number) => ComponentChildren;
  /** Their numbers, which stay at the left when the text is scrolled sideways. One layer: one a line would be slow. */
  drawNumbers: (first: number, last: number) => ComponentChildren;
  drawn: (first: number, last: number) => void;
  onClick: (event: MouseEvent) => void;
}

export function LogView({ length, following, columns, label, control, onFollow, draw, drawNumbers, drawn, onClick }: Props) {
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

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const watch = new ResizeObserver(() => setHeight(element.clientHeight));
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
    focus: () => box.current?.focus(),
  };

  const scrolled = (): void => {
    const element = box.current;
    if (!element) return;
    if (element.clientHeight !== height) {
      setHeight(element.clientHeight); // the browser moved the bar for a new size, not the user
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

  return (
    /* eslint-disable jsx-a11y/no-noninteractive-element-interactions, jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-tabindex -- what scrolls must take the focus; the clicks are those of the links within */
    <div ref={box} class="log-box" role="log" aria-live="off" aria-label={label} tabIndex={0} onScroll={scrolled} onClick={onClick}>
      <div class="log-space" style={{ height: `${map.height}px`, minWidth: `calc(${columns}ch + 9rem)` }}>
        <div class="log-window" style={{ height: `${Math.min(height, map.height)}px` }}>
          <div class="log-numbers" style={{ marginTop: shift }}>{drawNumbers(first, last)}</div>
          <div class="log-lines" style={{ marginTop: shift }}>{draw(first, last)}</div>
        </div>
      </div>
    </div>
  );
}
