// Named run tabs: each with a project, a place to run, and the jobs that were started from it. Plain data, kept by the
// browser, so that they survive a reload.

import { randomId } from "../api/calls";

/** Where a tab's jobs run. */
export type Target = { kind: "any" } | { kind: "worker"; workerId: string } | { kind: "direct" };

export interface Project {
  fileUrl: string;
  filename: string;
}

export interface Tab {
  id: string;
  name: string;
  target: Target;
  /** null: no files. */
  project: Project | null;
  /** The newest last. */
  jobIds: string[];
  history: string[];
  draft: string;
}

export const TABS_MAX = 20;
export const JOBS_MAX = 20;
export const HISTORY_MAX = 100;
const NAME_MAX = 40;

export function newTab(tabs: readonly Tab[]): Tab {
  const taken = new Set(tabs.map((tab) => tab.name));
  let number = 1;
  while (taken.has(`Terminal ${number}`)) number++;
  return { id: randomId(), name: `Terminal ${number}`, target: { kind: "any" }, project: null, jobIds: [], history: [], draft: "" };
}

/** What becomes of a tab: new values, or how they follow from those that it has by then. */
export type Change = Partial<Tab> | ((tab: Tab) => Partial<Tab>);

export function changeTab(tabs: readonly Tab[], id: string, change: Change): Tab[] {
  return tabs.map((tab) => (tab.id === id ? { ...tab, ...(typeof change === "function" ? change(tab) : change) } : tab));
}

/** An empty name leaves the old one. */
export function renameTab(tabs: readonly Tab[], id: string, name: string): Tab[] {
  const text = name.trim().slice(0, NAME_MAX);
  return text ? changeTab(tabs, id, { name: text }) : [...tabs];
}

/** The tabs without that one, and which is shown then. */
export function closeTab(tabs: readonly Tab[], id: string, shown: string): { tabs: Tab[]; shown: string } {
  const at = tabs.findIndex((tab) => tab.id === id);
  const left = tabs.filter((tab) => tab.id !== id);
  if (shown !== id) return { tabs: left, shown };
  return { tabs: left, shown: (left[at] ?? left[at - 1])?.id ?? "" };
}

/** A job was started with `command`. What was typed since stays. */
export function jobStarted(tab: Tab, jobId: string, command: string): Partial<Tab> {
  return {
    jobIds: [...tab.jobIds, jobId].slice(-JOBS_MAX),
    history: [...tab.history.filter((old) => old !== command), command].slice(-HISTORY_MAX),
    draft: tab.draft.trim() === command ? "" : tab.draft,
  };
}

/** Tabs as they were stored, whatever is there by now; what is not a tab is left out. */
export function readTabs(stored: unknown): Tab[] {
  if (!Array.isArray(stored)) return [];
  const isTab = (tab: unknown): tab is Tab => {
    const one = tab as Partial<Tab> | null;
    return typeof one === "object" && typeof one?.id === "string" && typeof one.name === "string" && Array.isArray(one.jobIds) && Array.isArray(one.history);
  };
  return (stored as unknown[]).filter(isTab).slice(0, TABS_MAX);
}
