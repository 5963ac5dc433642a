// Jobs that the user watches: when one ends while its page is out of sight, the browser says so, or this page where the
// browser does not. And what the tab shows: its title and icon.

import { signal } from "@preact/signals";
import { getJob } from "../api/calls";
import { ApiError } from "../api/client";
import { listen } from "../api/live";
import { asking } from "../api/session";
import type { Job } from "../api/types";
import { go, href, route } from "../router";
import { jobTitle } from "./format";
import { reasonWords } from "./reasons";
import { stored } from "./storage";

const WATCHED_MAX = 50;
const HIDDEN_MS = 5000; // a page that is not seen hears no events (api/live.ts): it asks

/** Ids of the watched jobs, the newest first. */
export const watched = stored<string[]>("watched", [], (id) => typeof id === "string");

export const canNotify = signal(typeof Notification !== "undefined" && Notification.permission !== "denied");

/** Watches a job. Asks for the browser's leave to notify the first time. */
export async function watch(jobId: string): Promise<void> {
  watched.value = [jobId, ...watched.value.filter((id) => id !== jobId)].slice(0, WATCHED_MAX);
  if (typeof Notification !== "undefined" && Notification.permission === "default") {
    const said = await Notification.requestPermission();
    canNotify.value = said !== "denied";
  }
}

export function unwatch(jobId: string): void {
  watched.value = watched.value.filter((id) => id !== jobId);
}

/** True when the user looks at that job. */
function inSight(jobId: string): boolean {
  return !document.hidden && route.value.name === "job" && route.value.id === jobId;
}

/** True when the browser tells of it. */
function notify(job: Job, words: string): boolean {
  if (typeof Notification === "undefined" || Notification.permission !== "granted") return false;
  let note: Notification;
  try {
    note = new Notification(words, { body: job.jobId, tag: job.jobId });
  } catch {
    return false; // some phones show them for a service worker only
  }
  note.onclick = () => {
    window.focus();
    go(href("job", job.jobId));
  };
  return true;
}

/** Tells that a job is over: the browser does, else this page, and its tab is marked until the user looks. */
function tell(job: Job, show: (text: string) => void): void {
  if (inSight(job.jobId)) return;
  const why = job.reason ? `: ${reasonWords(job.reason).short}` : "";
  const words = `${jobTitle(job)} ${job.status}${why}`;
  if (notify(job, words)) return;
  show(`${words}.`);
  if (document.hidden || !document.hasFocus()) mark(true);
}

async function check(jobId: string, show: (text: string) => void): Promise<void> {
  const job = await getJob(jobId).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) unwatch(jobId); // housekeeping was first
    return null;
  });
  if (!job || (job.status !== "completed" && job.status !== "failed")) return;
  if (!watched.value.includes(jobId)) return; // another tab was first
  unwatch(jobId);
  tell(job, show);
}

/** Tells of watched jobs from now on, for as long as the page is open. `show` does it in the page. */
export function startWatching(show: (text: string) => void): void {
  let stop: (() => void) | null = null;
  const look = (jobId: string): void => {
    if (!asking.value) void check(jobId, show);
  };
  window.addEventListener("focus", () => mark(false));
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) mark(false);
  });
  window.setInterval(() => {
    if (document.hidden) for (const id of watched.value) look(id);
  }, HIDDEN_MS);
  watched.subscribe((ids) => {
    if (ids.length > 0 && !stop) {
      for (const id of ids) look(id);
      stop = listen((event) => {
        if (event === null) for (const id of watched.value) look(id);
        else if (event.eventType === "job" && watched.value.includes(event.jobId)) look(event.jobId);
      });
    } else if (ids.length === 0 && stop) {
      stop();
      stop = null;
    }
  });
}

export type TabIcon = "idle" | "pending" | "running" | "completed" | "failed" | "offline";

const tabWords: Record<TabIcon, string> = {
  idle: "", pending: "… waiting", running: "▶ running", completed: "✓ completed", failed: "✗ failed", offline: "⚠ away",
};

/** The title of a tab: how it stands comes first, for a tab shows little. */
export function tabTitle(title: string, icon: TabIcon, reason: string | null | undefined = null): string {
  const words = icon === "failed" && reason === "cancelled" ? "✗ cancelled" : tabWords[icon];
  return [words, title, "Gleaner"].filter(Boolean).join(" · ");
}

let shown = document.title;
let marked = false;

/** Marks the tab: something was told in the page while the user did not look. */
function mark(on: boolean): void {
  marked = on;
  document.title = marked ? `● ${shown}` : shown;
}

/** What the browser's tab shows. `reason`: why a job has failed. */
export function showTab(title: string, icon: TabIcon, reason?: string | null): void {
  shown = tabTitle(title, icon, reason);
  mark(marked);
  const link = document.getElementById("favicon");
  const address = `./icon.${icon}.svg`;
  if (link instanceof HTMLLinkElement && link.getAttribute("href") !== address) link.setAttribute("href", address);
}
