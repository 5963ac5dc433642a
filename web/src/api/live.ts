// One stream of server-sent events for the whole page, shared by whoever wants to hear.
//
// The stream is there while somebody listens and the page is seen: a browser has six connections to a server, for all
// its tabs together. After a broken connection it goes on behind the last event by itself; when
// too much has happened since, listeners hear `null`: read anew.

import { effect } from "@preact/signals";
import { address, noteStatus } from "./client";
import { asking } from "./session";
import type { GleanerEvent } from "./types";

type Listener = (event: GleanerEvent | null) => void;

const listeners = new Set<Listener>();
let source: EventSource | null = null;
let again: number | undefined;
let lastId = "";
let pauseMs = 0;
let missed = false; // the stream was closed before it had told where it is
const PAUSE_FIRST_MS = 500;
const PAUSE_MAX_MS = 10_000;

function tell(event: GleanerEvent | null): void {
  for (const listener of [...listeners]) listener(event);
}

function hear(message: MessageEvent<string>): void {
  lastId = message.lastEventId || lastId;
  tell(JSON.parse(message.data) as GleanerEvent);
}

function close(): void {
  source?.close();
  source = null;
  window.clearTimeout(again);
}

// EventSource gives up for good on an answer such as 503; so we reconnect ourselves, behind the last event.
function open(): void {
  close();
  if (document.hidden || asking.value) return;
  source = new EventSource(address("api/events", { lastEventId: lastId }));
  source.onopen = () => {
    if (pauseMs || missed) tell(null);
    pauseMs = 0;
    missed = false;
    noteStatus(200);
  };
  source.onerror = () => {
    close();
    pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_FIRST_MS, pauseMs * 2));
    again = window.setTimeout(open, pauseMs);
  };
  for (const type of ["job", "output", "worker"]) source.addEventListener(type, hear);
  source.addEventListener("gone", (message) => {
    lastId = message.lastEventId || "";
    tell(null);
  });
}

/** Calls `listener` for every event until the returned function is called; with null when everything may have changed. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  if (!source && !document.hidden) open();
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) close();
  };
}

effect(() => {
  if (asking.value) {
    missed = true;
    close();
  } else if (listeners.size > 0 && !source) open();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    missed ||= source !== null && lastId === "";
    close();
  }
  else if (listeners.size > 0 && !source) open();
});
