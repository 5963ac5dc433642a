// A million lines stay smooth, and what is printed is on screen at once.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { uiSuite } from "./lib/suite.mjs";

const LINES = 1_000_000;
const FRAME_P95_MAX_MS = 50;
const TRIES = 3; // what else a machine does makes frames late, and never early: the best of these counts
const MEMORY_MAX = 300e6;
const LATENCY_MEDIAN_MAX_MS = 150;

/** @param {number[]} values @param {number} share */
function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/**
 * Milliseconds between frames while `move` scrolls.
 * @param {import("playwright-core").Page} page @param {() => Promise<void>} move
 */
async function frames(page, move) {
  await page.evaluate(() => {
    const times = [];
    const note = (time) => {
      times.push(time);
      if (globalThis.gleanerFrames === times) requestAnimationFrame(note);
    };
    globalThis.gleanerFrames = times;
    requestAnimationFrame(note);
  });
  await move();
  const times = await page.evaluate(() => {
    const noted = globalThis.gleanerFrames;
    globalThis.gleanerFrames = null;
    return noted;
  });
  return times.slice(1).map((time, at) => time - times[at]);
}

/** The times of the first try that is smooth, else of the last. @param {import("playwright-core").Page} page @param {() => Promise<void>} move */
async function smoothFrames(page, move) {
  let times = [];
  for (let tried = 0; tried < TRIES && (!times.length || quantile(times, 0.95) >= FRAME_P95_MAX_MS); tried++) times = await frames(page, move);
  return times;
}

/** Bytes of memory that the page has for itself, as its process tells. @param {import("playwright-core").Page} page */
async function memory(page) {
  const session = await page.context().newCDPSession(page);
  const { usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await session.send("Runtime.getHeapUsage");
  return usedSize + embedderHeapUsedSize + backingStorageSize;
}

/** Private bytes of all renderers of this browser. @param {import("playwright-core").Browser} browser */
async function renderers(browser) {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const sizes = processInfo.filter((one) => one.type === "renderer").map(({ id }) => {
    const status = readFileSync(`/proc/${id}/status`, "utf8");
    return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
  });
  return Math.max(...sizes);
}

uiSuite("very much output", { workers: 1, worker: ["--slots", "1"], broker: ["--output-max", "256M"] }, (uiTest) => {
  uiTest("a million lines scroll smoothly in bounded memory", async ({ page, api, browser }) => {
    const job = await api.submit(`seq -f 'line %.0f of a build that prints a great deal of text' 1 ${LINES}`);
    const done = await api.waitJob(job, undefined, 60);
    assert.equal(done.status, "completed");
    await page.goto(`#/jobs/${job}`);
    await page.getByText("1,000,000 lines").first().waitFor({ timeout: 20000 });
    await page.locator(".log-box").hover();
    const times = await smoothFrames(page, async () => {
      for (let at = 0; at < 120; at++) await page.mouse.wheel(0, at % 40 < 20 ? 400 : 4000);
    });
    const p95 = quantile(times, 0.95);
    await page.goto(`#/jobs/${job}?line=765432`);
    await page.locator(".log-row").filter({ hasText: "line 765432 of" }).waitFor();
    await page.keyboard.press("l");
    const keyed = await smoothFrames(page, async () => {
      for (let at = 0; at < 120; at++) await page.keyboard.press(at % 40 < 20 ? "ArrowDown" : "PageDown");
    });
    const keyedP95 = quantile(keyed, 0.95);
    await page.keyboard.press("G");
    await page.locator(".log-row").filter({ hasText: "line 1000000 of" }).waitFor();
    await page.keyboard.press("ArrowUp");
    for (let at = 0; at < 400; at++) await page.keyboard.press("Shift+ArrowUp"); // more than a browser lets an address change
    await page.waitForURL((url) => url.hash.endsWith("line=999600-1000000"));
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowDown");
    assert.match(await page.locator(".is-here").innerText(), /line 1 of/);
    assert.ok((await page.locator(".log-row").count()) < 200, "only what is seen is in the page");
    const [heap, process] = [await memory(page), await renderers(browser)];
    console.log(`# frames while scrolling: p50 ${quantile(times, 0.5).toFixed(1)} ms, p95 ${p95.toFixed(1)} ms; heap ${(heap / 1e6).toFixed(0)} MB, renderer ${(process / 1e6).toFixed(0)} MB`);
    assert.ok(heap < MEMORY_MAX && process < MEMORY_MAX, `heap ${heap}, renderer ${process} bytes`);
    console.log(`# frames while keys move: p50 ${quantile(keyed, 0.5).toFixed(1)} ms, p95 ${keyedP95.toFixed(1)} ms`);
    assert.ok(p95 < FRAME_P95_MAX_MS, `95 % of frames within ${p95} ms`);
    assert.ok(keyedP95 < FRAME_P95_MAX_MS, `by keys 95 % of frames within ${keyedP95} ms`);
  });

  uiTest("what is printed is on screen at once", async ({ page, api, cluster }) => {
    await cluster.addNativeWorker(["--id", "native", "--label", "native=yes"]);
    const job = await api.submit("for i in $(seq 1 60); do echo at $(date +%s%3N); sleep 0.15; done", { fields: { requires: JSON.stringify({ native: "yes" }) } });
    await page.goto(`#/jobs/${job}`);
    await page.locator(".log-row").filter({ hasText: "at " }).first().waitFor();
    const delays = await page.evaluate(() => new Promise((resolve) => {
      const seen = new Map();
      const look = () => {
        for (const row of document.querySelectorAll(".log-row .log-text")) {
          const at = /^at (\d+)/.exec(row.textContent)?.[1];
          if (at && !seen.has(at)) seen.set(at, Date.now() - Number(at));
        }
        if (seen.size >= 50) resolve([...seen.values()].slice(10));
        else requestAnimationFrame(look);
      };
      look();
    }));
    console.log(`# from print to screen: p50 ${quantile(delays, 0.5)} ms, p95 ${quantile(delays, 0.95)} ms`);
    assert.ok(quantile(delays, 0.5) < LATENCY_MEDIAN_MAX_MS, `median ${quantile(delays, 0.5)} ms`);
  });
});
