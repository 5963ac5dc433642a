// Addresses of the page: `#/jobs/ID?line=3`. They live in the fragment, so that the gateway serves one document and any
// path prefix works.

import { computed, signal } from "@preact/signals";

export type RouteName = "run" | "jobs" | "job" | "workers" | "overview" | "terminals" | "lost";

export interface Route {
  name: RouteName;
  /** The job's id on a job's page, else "". */
  id: string;
  query: URLSearchParams;
}

/** What a fragment stands for. */
export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#?\/?/, "").split("?", 2) as [string?, string?];
  const parts = path.split("/").filter(Boolean);
  const route = (name: RouteName, id = ""): Route => ({ name, id, query: new URLSearchParams(query) });
  const [head, id] = parts;
  if (parts.length === 0) return route("run");
  if (parts.length === 2 && head === "jobs" && id) {
    try {
      return route("job", decodeURIComponent(id));
    } catch {
      return route("lost");
    }
  }
  const plain = ["run", "jobs", "workers", "overview", "terminals"] as const;
  const found = plain.find((name) => name === head);
  return parts.length === 1 && found ? route(found) : route("lost");
}

const fragment = signal(location.hash);
addEventListener("hashchange", () => {
  fragment.value = location.hash;
});

/** Where the user is. */
export const route = computed(() => parseRoute(fragment.value));

/** The address of a page, for links. */
export function href(name: Exclude<RouteName, "lost">, id = "", query: Record<string, string> = {}): string {
  const path = name === "job" ? `jobs/${encodeURIComponent(id)}` : name;
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "")).toString();
  return `#/${path}${text ? `?${text}` : ""}`;
}

export function go(to: string): void {
  location.hash = to;
}

/** Changes the query of the present page without a step in the history. */
export function setQuery(query: Record<string, string>): void {
  const now = parseRoute(location.hash);
  if (now.name === "lost") return;
  const to = href(now.name, now.id, query);
  if (to === location.hash) return;
  history.replaceState(null, "", to);
  fragment.value = location.hash;
}
