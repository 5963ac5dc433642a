// A job that runs for as long as its test needs it to: time alone ends it too early on a busy machine.
import { rmSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * @typedef {object} Gate
 * @property {string} wait the command that waits until the gate is open
 * @property {() => void} open
 */

/**
 * Runs `use` with a closed gate, and opens it at the end.
 * @param {(gate: Gate) => Promise<void>} use
 */
export async function withGate(use) {
  const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-gate-"));
  const open = join(folder, "open");
  try {
    // Without its folder the gate is open too: no job outlives its test.
    await use({ wait: `while [ -e ${folder} ] && [ ! -e ${open} ]; do sleep 0.1; done`, open: () => writeFileSync(open, "") });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
