// What the browser remembers for the user. A browser that refuses storage just does not remember.

import { signal, type Signal } from "@preact/signals";

const PREFIX = "gleaner.";

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** What was kept, as far as it has the shape of `fallback`: an older page, or a hand, may have left anything. Of a
 *  record each field is looked at; of a list, only that it is one. Where null is the fallback, a record is taken whole. */
export function fitting<T>(value: unknown, fallback: T): T {
  if (fallback === null) return (isRecord(value) ? value : null) as T;
  if (Array.isArray(fallback)) return (Array.isArray(value) ? value : fallback) as T;
  if (!isRecord(fallback)) return typeof value === typeof fallback ? (value as T) : fallback;
  if (!isRecord(value)) return fallback;
  return Object.fromEntries(Object.entries(fallback).map(([key, one]) => [key, fitting(value[key], one)])) as T;
}

/** Where a value is kept: for all tabs and for good, or for this tab until it is closed. */
type Area = "local" | "session";

const areaOf = (area: Area): Storage => (area === "local" ? localStorage : sessionStorage);

function read<T>(area: Area, key: string, fallback: T, isItem: (item: unknown) => boolean): T {
  try {
    const text = areaOf(area).getItem(PREFIX + key);
    const value = text === null ? fallback : fitting<T>(JSON.parse(text), fallback);
    return Array.isArray(value) ? (value.filter(isItem) as T) : value;
  } catch {
    return fallback;
  }
}

function write(area: Area, key: string, value: unknown): void {
  try {
    areaOf(area).setItem(PREFIX + key, JSON.stringify(value));
  } catch {
    // Full or forbidden: the value lives until the page is closed.
  }
}

const kept = new Map<string, Signal<unknown>>();

/** A value that survives a reload and is the same in all tabs. One signal a key. Items of a list that are not what
 *  `isItem` says are left out. */
export function stored<T>(key: string, fallback: T, isItem: (item: unknown) => boolean = () => true): Signal<T> {
  const value = open("local", key, fallback, isItem);
  window.addEventListener("storage", (event) => {
    if (event.storageArea === localStorage && event.key === PREFIX + key) value.value = read("local", key, fallback, isItem);
  });
  return value;
}

/** A value that survives a reload, of this tab alone; gone with it. */
export function storedInTab<T>(key: string, fallback: T): Signal<T> {
  return open("session", key, fallback, () => true);
}

function open<T>(area: Area, key: string, fallback: T, isItem: (item: unknown) => boolean): Signal<T> {
  const known = kept.get(key);
  if (known) return known as Signal<T>;
  const value = signal<T>(read(area, key, fallback, isItem));
  kept.set(key, value);
  let first = true;
  value.subscribe((now) => {
    if (!first) write(area, key, now);
    first = false;
  });
  return value;
}
