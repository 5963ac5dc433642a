// Light, dark, or as the system has it.

import { computed, signal } from "@preact/signals";
import { stored } from "./storage";

export type Theme = "auto" | "light" | "dark";
export const theme = stored<Theme>("theme", "auto");

const system = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", (event) => {
  systemDark.value = event.matches;
});

/** True when the page is dark now. */
export const dark = computed(() => (theme.value === "auto" ? systemDark.value : theme.value === "dark"));

export function startTheme(): void {
  theme.subscribe((now) => {
    document.documentElement.dataset.theme = now;
  });
}

export function nextTheme(): void {
  theme.value = theme.value === "auto" ? "light" : theme.value === "light" ? "dark" : "auto";
}
