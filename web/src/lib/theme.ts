// Light, dark, or as the system has it.

import { stored } from "./storage";

export type Theme = "auto" | "light" | "dark";
export const theme = stored<Theme>("theme", "auto");

export function startTheme(): void {
  theme.subscribe((now) => {
    document.documentElement.dataset.theme = now;
  });
}

export function nextTheme(): void {
  theme.value = theme.value === "auto" ? "light" : theme.value === "light" ? "dark" : "auto";
}

/** True when the page is dark now. */
export function isDark(): boolean {
  return theme.value === "dark" || (theme.value === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
}
