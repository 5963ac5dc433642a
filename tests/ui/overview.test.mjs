// The Overview: figures, charts and health, from the broker's own counters.
import assert from "node:assert/strict";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

uiSuite("overview", { workers: 1, worker: ["--slots", "2"] }, (uiTest) => {
  uiTest("tells what was run and what failed, in figures and charts", async ({ page, api }) => {
    const jobs = [];
    for (let at = 0; at < 8; at++) jobs.push(await api.submit(`sleep 0.1; exit ${at % 4 === 0 ? 3 : 0}`));
    for (const job of jobs) await api.waitJob(job);
    await page.goto("#/overview");
    await page.getByText("command failed").first().waitFor({ timeout: 20000 });
    await page.locator("canvas").first().waitFor();
    await waitUntil(async () => (await page.getByRole("main").innerText()).includes("25 %"), "the share of failures");
    await page.getByRole("img").first().waitFor();
    for (const text of [/Broker/, /Disk/, /gateway/i]) await page.getByText(text).first().waitFor();
    await screenshot(page, "overview-light", { fullPage: true });
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await waitUntil(async () => (await page.locator("canvas").count()) > 0, "the charts in the dark");
    await screenshot(page, "overview-dark", { fullPage: true });
    await checkAccessibility(page);
  });

  uiTest("keeps its range in the address", async ({ page }) => {
    await page.goto("#/overview");
    await page.getByText("24 h").first().click();
    await waitUntil(() => /range=day/.test(page.url()), "the range in the address");
    await page.reload();
    await page.locator("canvas").first().waitFor();
    assert.match(page.url(), /range=day/);
  });

  uiTest("survives a restart of the broker, and so do its counters", async ({ page, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    await page.goto("#/overview");
    await page.getByText("command failed").first().waitFor();
    await cluster.broker.restart();
    await page.reload();
    await page.getByText("command failed").first().waitFor({ timeout: 20000 });
  });

  uiTest("fits a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => {
    await page.goto("#/overview");
    await page.locator("canvas").first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "overview-phone", { fullPage: true });
    await checkAccessibility(page);
  });
});
