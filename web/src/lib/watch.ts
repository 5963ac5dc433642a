// Jobs that the user watches: when one ends while its page is out of sight, the browser says so. And what the tab shows:
// its title and icon.

import { signal } from "@preact/signals";
import { getJob } from "../api/calls";
import { ApiError } from "../api/client";
import { listen } from "../api/live";
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

function notify(job: Job): void {
  if (typeof Notification === "undefined" || Notification.permission !== "granted" || inSight(job.jobId)) return;
  const why = job.reason ? `: ${reasonWords(job.reason).short}` : "";
  let note: Notification;
  try {
    note = new Notification(`${jobTitle(job)} ${job.status}${why}`, { body: job.jobId, tag: job.jobId });
  } catch {
    return; // some phones show them for a service worker only
  }
  note.onclick = () => {
    window.focus();
    go(href("job", job.jobId));
  };
}

async function check(jobId: string): Promise<void> {
  const job = await getJob(jobId).catch((error: unknown) => {
    if (error instanceof ApiError && error.status === 404) unwatch(jobId); // housekeeping was first
    return null;
  });
  if (!job || (job.status !== "completed" && job.status !== "failed")) return;
  if (!watched.value.includes(jobId)) return; // another tab was first
  unwatch(jobId);
  notify(job);
}

/** Notifies about watched jobs from now on, for as long as the page is open. */
export function startWatching(): void {
  let stop: (() => void) | null = null;
  window.setInterval(() => {
    if (document.hidden) for (const id of watched.value) void check(id);
  }, HIDDEN_MS);
  watched.subscribe((ids) => {
    if (ids.length > 0 && !stop) {
      for (const id of ids) void check(id);
      stop = listen((event) => {
        if (event === null) for (const id of watched.value) void check(id);
        else if (event.eventType === "job" && watched.value.includes(event.jobId)) void check(event.jobId);
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

/** What the browser's tab shows. `reason`: why a job has failed. */
export function showTab(title: string, icon: TabIcon, reason?: string | null): void {
  document.title = tabTitle(title, icon, reason);
  const link = document.getElementById("favicon");
  const address = `./icon.${icon}.svg`;
  if (link instanceof HTMLLinkElement && link.getAttribute("href") !== address) link.setAttribute("href", address);
}
