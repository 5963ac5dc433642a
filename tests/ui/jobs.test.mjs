// The list of jobs: narrowed, live, large, and changed many at a time.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { BIN } from "./lib/paths.mjs";
import { withGate } from "./lib/gate.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

const HOSTILE = "<img src=x onerror=alert(1)>\u202Eevil<script>alert(2)</script>" + "x".repeat(150);

/** @param {import("playwright-core").Page} page */
const rows = (page) => page.getByRole("grid", { name: "Jobs" }).getByRole("row");

/** @param {import("playwright-core").Page} page @param {string} text */
const row = (page, text) => rows(page).filter({ hasText: text });

uiSuite("jobs", { workers: 1, worker: ["--slots", "2", "--id", "lab-1"] }, (uiTest) => {
  uiTest("nothing yet is said in words", async ({ page }) => {
    await page.goto("#/jobs");
    await page.getByText("No job has been submitted yet.").waitFor();
    await checkAccessibility(page);
    await screenshot(page, "jobs-none");
  });

  uiTest("come and change while one looks", async ({ page, api }) => withGate(async (gate) => {
    await page.goto("#/jobs");
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    await api.submit(`${gate.wait}; echo x`, { fields: { name: "watch me" } });
    await row(page, "watch me").waitFor();
    await row(page, "watch me").getByText("running").waitFor();
    gate.open();
    await row(page, "watch me").getByText("completed").waitFor();
  }));

  uiTest("are narrowed, and the address keeps it", async ({ page, api }) => {
    await api.waitJob(await api.submit("exit 7", { fields: { name: "bad one", labels: JSON.stringify({ team: "blue" }) } }));
    await api.waitJob(await api.submit("true", { fields: { name: "good one" } }));
    await page.goto("#/jobs");
    await row(page, "good one").waitFor();
    await page.getByRole("combobox", { name: "State" }).selectOption("failed");
    await row(page, "good one").waitFor({ state: "hidden" });
    await row(page, "command failed (exit 7)").waitFor();
    await page.getByRole("searchbox", { name: "Label" }).fill("team=blue");
    await waitUntil(() => page.url().includes("label=team%3Dblue"), "the label in the address");
    await page.reload();
    await row(page, "bad one").waitFor();
    assert.equal(await rows(page).count(), 2, "the head and one job");
    await page.getByRole("button", { name: "Clear" }).click();
    await row(page, "good one").waitFor();
    await page.getByRole("searchbox", { name: "Search" }).fill("GOOD");
    await row(page, "bad one").waitFor({ state: "hidden" });
    await page.getByRole("searchbox", { name: "Search" }).fill("there is no such job");
    await page.getByText("No job fits this.").waitFor();
  });

  uiTest("come to a list that is narrowed to a state as they come into it", async ({ page, api }) => withGate(async (gate) => {
    const blocked = await api.submit("true", { fields: { name: "a row that is there", requires: JSON.stringify({ no: "such" }) } });
    await page.goto("#/jobs?state=running");
    await page.getByText("No job fits this.").waitFor();
    await api.submit(`${gate.wait}; exit 1`, { fields: { name: "comes and goes", delayMs: 500 } });
    await row(page, "comes and goes").waitFor();
    gate.open();
    await page.goto("#/jobs?state=failed");
    await row(page, "comes and goes").getByText("failed", { exact: true }).waitFor();
    await api.post("api/jobs/cancel", { jobId: blocked });
    await row(page, "a row that is there").waitFor();
  }));

  uiTest("hostile names stay text", async ({ page, api }) => {
    await api.waitJob(await api.submit("true", { fields: { name: HOSTILE.slice(0, 250) } }));
    let dialogs = 0;
    page.on("dialog", (dialog) => (dialogs++, dialog.dismiss()));
    await page.goto("#/jobs");
    await row(page, "<img src=x onerror=alert(1)>").waitFor();
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.equal(dialogs, 0);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
  });

  uiTest("many are cancelled and run again after a question, by keys alone", async ({ page, api }) => {
    const blocked = [];
    for (let at = 0; at < 3; at++) blocked.push(await api.submit("true", { fields: { name: `stuck ${at}`, requires: JSON.stringify({ no: "such" }) } }));
    await page.goto("#/jobs?text=stuck");
    await row(page, "stuck 2").waitFor();
    await row(page, "stuck 0").getByText("No worker").waitFor();
    await screenshot(page, "jobs-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "jobs-dark");
    await checkAccessibility(page);
    for (let at = 0; at < 3; at++) {
      await page.keyboard.press("j");
      await page.keyboard.press("x");
    }
    await page.keyboard.press("c");
    await page.getByRole("dialog").getByText("Cancel 3 jobs?").waitFor();
    await screenshot(page, "jobs-cancel-question");
    await checkAccessibility(page);
    await page.getByRole("dialog").getByRole("button", { name: "Cancel 3 jobs" }).click();
    await page.getByText("3 jobs cancelled.").waitFor();
    for (const id of blocked) assert.equal((await api.status(id)).reason, "cancelled");
    await row(page, "stuck 1").getByText("cancelled").waitFor();
    await page.keyboard.press("r");
    await page.getByRole("button", { name: "Run again", exact: true }).click();
    await page.getByText("3 jobs submitted again.").waitFor();
    await waitUntil(async () => (await row(page, "stuck").count()) === 6, "the new ones on top");
    const list = (await api.get("api/jobs?state=pending&text=stuck&limit=10")).json.jobs;
    assert.equal(list.length, 3);
    for (const job of list) await api.post("api/jobs/cancel", { jobId: job.jobId });
  });

  uiTest("stay where they are seen when others come in front", async ({ page, api }) => {
    const ids = [];
    for (let at = 0; at < 30; at++) ids.push(await api.submit("true", { fields: { name: `calm ${at}`, requires: JSON.stringify({ no: "such" }) } }));
    await page.goto("#/jobs?text=calm");
    await row(page, "calm 29").waitFor();
    await page.locator(".jobs-rows").evaluate((box) => (box.scrollTop = 560));
    await row(page, "calm 15").waitFor();
    const place = async () => Math.round((await row(page, "calm 15").boundingBox())?.y ?? -1);
    const before = await place();
    for (let at = 0; at < 12; at++) ids.push(await api.submit("true", { fields: { name: `calm and new ${at}`, requires: JSON.stringify({ no: "such" }) } }));
    await waitUntil(async () => Number(await page.getByRole("grid", { name: "Jobs" }).getAttribute("aria-rowcount")) === 43, "the new ones in the list");
    assert.equal(await place(), before);
    for (const jobId of ids) await api.post("api/jobs/cancel", { jobId });
  });

  uiTest("go on after the broker was restarted", async ({ page, api, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    await api.waitJob(await api.submit("true", { fields: { name: "before" } }));
    await page.goto("#/jobs");
    await row(page, "before").first().waitFor();
    await cluster.broker.kill();
    await cluster.broker.start();
    await api.submit("true", { fields: { name: "after the restart" } });
    await row(page, "after the restart").waitFor({ timeout: 20000 });
    assert.equal(await row(page, "after the restart").count(), 1);
  });

  uiTest("fit a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => {
    await page.goto("#/jobs");
    await rows(page).nth(1).waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "jobs-phone");
    await checkAccessibility(page);
  });
});

uiSuite("very many jobs", { workers: 0 }, (uiTest) => {
  uiTest("a hundred thousand are listed at once", async ({ page, cluster }) => {
    await cluster.broker.stop();
    const data = cluster.broker.args[cluster.broker.args.indexOf("--data") + 1];
    mkdirSync(data, { recursive: true });
    execFileSync(join(BIN, "bench-preload"), [join(data, "gleaner.db"), "100000"]);
    await cluster.broker.start();
    const began = performance.now();
    await page.goto("#/jobs");
    await rows(page).nth(5).waitFor();
    assert.ok(performance.now() - began < 3000, `shown after ${Math.round(performance.now() - began)} ms`);
    await page.getByText(/100,000 in all/).waitFor();
    const scroller = page.locator(".jobs-rows");
    await scroller.hover();
    for (let at = 0; at < 25; at++) {
      await page.mouse.wheel(0, 3000);
      await page.waitForTimeout(40);
    }
    await waitUntil(async () => Number(/([\d,]+) read so far/.exec(await page.locator(".jobs-foot").innerText())?.[1].replaceAll(",", "") ?? 0) > 1000, "more than a thousand read");
    assert.ok((await rows(page).count()) < 60, "only what is seen is in the page");
  });
});
