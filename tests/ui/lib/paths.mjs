// Where things are.
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const TOP = fileURLToPath(new URL("../../..", import.meta.url));
/** The programs under test. */
export const BIN = resolve(process.env.GLEANER_BIN ?? join(TOP, "build/release/bin"));
/** The built page under test: beside the programs, where the gateway looks for it. */
export const WEB = resolve(process.env.GLEANER_WEB_OUT ?? join(BIN, "../web"));
export const CHROMIUM = process.env.GLEANER_CHROMIUM ?? "/usr/bin/chromium";

/**
 * The file for a screenshot.
 * @param {string} name
 */
export function screenshotPath(name) {
  const folder = join(TOP, "build/ui-screenshots");
  mkdirSync(folder, { recursive: true });
  return join(folder, `${name.replace(/[^A-Za-z0-9._-]+/g, "-").slice(0, 100)}.png`);
}
