// What the browser remembers for the user. A browser that refuses storage just does not remember.

import { signal, type Signal } from "@preact/signals";

const PREFIX = "gleaner.";

function read<T>(key: string, fallback: T): T {
  try {
    const text = localStorage.getItem(PREFIX + key);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

function write(key: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the value lives until the page is closed.
  }
}

const kept = new Map<string, Signal<unknown>>();

/** A value that survives a reload and is the same in all tabs. One signal a key. */
export function stored<T>(key: string, fallback: T): Signal<T> {
  const known = kept.get(key);
  if (known) return known as Signal<T>;
  const value = signal<T>(read(key, fallback));
  kept.set(key, value);
  let first = true;
  value.subscribe((now) => {
    if (!first) write(key, now);
    first = false;
  });
  window.addEventListener("storage", (event) => {
    if (event.key === PREFIX + key) value.value = read(key, fallback);
  });
  return value;
}
