// Waiting with a bound; never for luck.
import { setTimeout as sleep } from "node:timers/promises";

/**
 * The first true value of `probe`, or an error after the bound.
 * @template T
 * @param {() => T | Promise<T>} probe
 * @param {string} what for the error's text
 * @param {number} [seconds]
 * @returns {Promise<NonNullable<T>>}
 */
export async function waitUntil(probe, what, seconds = 10) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (performance.now() > end) throw new Error(`${what} did not come within ${seconds} s`);
    await sleep(20);
  }
}
