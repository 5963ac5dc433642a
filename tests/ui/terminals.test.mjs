// Run tabs with names.
import assert from "node:assert/strict";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { uiSuite } from "./lib/suite.mjs";

/** @param {import("playwright-core").Page} page @param {string} command */
async function run(page, command) {
  await page.getByLabel("Command", { exact: true }).fill(command);
  await page.keyboard.press("Enter");
}

/** @param {import("playwright-core").Page} page @param {string} text */
const shows = (page, text) => page.locator(".xterm-rows").getByText(text).first().waitFor({ timeout: 15000 });

uiSuite("terminals", { workers: 1, worker: ["--id", "lab-1", "--hostname", "lab-pc-1", "--slots", "2"] }, (uiTest) => {
  uiTest("run commands one after the other and keep their name and output over a reload", async ({ page, cluster }) => {
    await cluster.addWorker(["--id", "lab-2", "--hostname", "lab-pc-2"]);
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await run(page, "printf 'first \\033[31mred\\033[0m\\n'");
    await shows(page, "completed on");
    await page.getByRole("button", { name: "Rename" }).click();
    await page.getByLabel("New name for Terminal 1").fill("my lab");
    await page.keyboard.press("Enter");
    await page.getByRole("tab", { name: "my lab" }).waitFor();
    await page.getByLabel("Runs on").selectOption("worker lab-2");
    await run(page, "echo second; exit 3");
    await shows(page, "exit code 3");
    await page.reload();
    await page.getByRole("tab", { name: "my lab" }).waitFor();
    await shows(page, "first red");
    await shows(page, "second");
    assert.equal(await page.getByLabel("Runs on").inputValue(), "worker lab-2");
    await page.getByLabel("Command", { exact: true }).focus();
    await page.keyboard.press("ArrowUp");
    assert.equal(await page.getByLabel("Command", { exact: true }).inputValue(), "echo second; exit 3");
    await checkAccessibility(page);
    await screenshot(page, "terminals-light");
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "terminals-dark");
    await checkAccessibility(page);
  });

  uiTest("run on the worker that was chosen", async ({ page, api }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByLabel("Runs on").selectOption("worker lab-1");
    await run(page, "echo chosen");
    await shows(page, "completed on lab-1");
    const newest = (await api.get("api/jobs?limit=1")).json.jobs[0];
    assert.equal(newest.workerId, "lab-1");
  });

  uiTest("show output while it comes, and cancel", async ({ page, api }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await run(page, "echo live; sleep 60");
    await shows(page, "live");
    const job = (await api.get("api/jobs?limit=1")).json.jobs[0];
    assert.equal(job.status, "running");
    await page.getByRole("button", { name: "Cancel" }).click();
    await shows(page, "cancelled");
    assert.equal((await api.status(job.jobId)).reason, "cancelled");
  });

  uiTest("are told apart by keys, closed, and bounded", async ({ page }) => {
    await page.goto("#/terminals");
    await page.getByRole("heading", { name: "Terminals" }).waitFor();
    await page.keyboard.press("n");
    await page.keyboard.press("n");
    await page.keyboard.press("[");
    assert.equal(await page.getByRole("tab", { selected: true }).innerText(), "Terminal 1");
    await page.getByRole("button", { name: "Close" }).click();
    assert.equal(await page.getByRole("tab").count(), 1);
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByText("No terminal is open.").waitFor();
  });

  uiTest("fit a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.locator(".xterm-rows").waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "terminals-phone");
    await checkAccessibility(page);
  });
});
