// The Workers page: who is lent, busy, gone, and what can be done with them.
import assert from "node:assert/strict";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

/** @param {import("playwright-core").Page} page @param {string} text */
const card = (page, text) => page.locator("article, li, .worker-card").filter({ hasText: text }).first();

uiSuite("no workers", { workers: 0 }, (uiTest) => {
  uiTest("the page says how to lend a PC, with a command that works", async ({ page, cluster }) => {
    await page.goto("#/workers");
    await page.getByText(/gleaner-worker --server/).first().waitFor();
    const text = await page.getByText(/gleaner-worker --server/).first().innerText();
    assert.ok(text.includes(cluster.url.replace(/\/$/, "")), text);
    await screenshot(page, "workers-none");
    await checkAccessibility(page);
  });
});

uiSuite("workers", { workers: 1, worker: ["--id", "lab-1", "--hostname", "lab-pc-1", "--slots", "2", "--label", "gpu=yes"] }, (uiTest) => {
  uiTest("are shown with what they are and do", async ({ page, api }) => {
    await page.goto("#/workers");
    await card(page, "lab-pc-1").waitFor();
    for (const text of ["idle", "gpu=yes", "lab-1"]) await card(page, "lab-pc-1").getByText(text).first().waitFor();
    const job = await api.submit("sleep 30");
    await card(page, "lab-pc-1").getByText("busy").first().waitFor({ timeout: 15000 });
    await screenshot(page, "workers-light");
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "workers-dark");
    await checkAccessibility(page);
    await api.post("api/jobs/cancel", { jobId: job });
  });

  uiTest("drain and resume", async ({ page, api }) => {
    await page.goto("#/workers");
    await card(page, "lab-pc-1").getByRole("button", { name: /Drain/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: /Drain/ }).click();
    await card(page, "lab-pc-1").getByText("draining").first().waitFor();
    const job = await api.submit("true");
    await waitUntil(async () => (await api.status(job)).waitingReason === "all-draining", "why it waits");
    await page.goto(`#/jobs/${job}`);
    await page.getByText(/drain/).first().waitFor();
    await page.goto("#/workers");
    await card(page, "lab-pc-1").getByRole("button", { name: /Resume/ }).click();
    assert.equal((await api.waitJob(job)).status, "completed");
  });

  uiTest("that are gone are told apart", async ({ page, cluster }) => {
    const other = await cluster.addWorker(["--id", "gone-1", "--hostname", "gone-pc"]);
    await page.goto("#/workers");
    await card(page, "gone-pc").getByText("idle").first().waitFor();
    await other.stop();
    await card(page, "gone-pc").getByText("offline").first().waitFor({ timeout: 15000 });
  });

  uiTest("with hostile names stay text", async ({ page, api }) => {
    await api.post("api/workers/register", { workerId: "<b>id</b>", hostname: "<img src=x onerror=alert(1)>" + "y".repeat(200), os: "<script>" });
    await page.goto("#/workers");
    await page.getByText("<img src=x onerror=alert(1)>").first().waitFor();
    assert.equal(await page.locator("main img, main script, main b:has-text('id')").count(), 0);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
  });

  uiTest("fit a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => {
    await page.goto("#/workers");
    await card(page, "lab-pc-1").waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "workers-phone", { fullPage: true });
    await checkAccessibility(page);
  });
});
