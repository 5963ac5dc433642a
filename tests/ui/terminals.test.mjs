// Run tabs with names.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipOf } from "./lib/api.mjs";
import { checkAccessibility, screenshot, withPage } from "./lib/browser.mjs";
import { startProxy } from "./lib/proxy.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

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
    await page.getByRole("button", { name: "Cancel this job" }).click();
    await shows(page, "cancelled");
    assert.equal((await api.status(job.jobId)).reason, "cancelled");
  });

  uiTest("open in more tabs than the browser has connections, out of sight, hold up no other page", async ({ page, api }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await run(page, "for i in $(seq 1 300); do echo tick $i; sleep 0.2; done");
    await shows(page, /^tick 1$/);
    const job = (await api.get("api/jobs?limit=1")).json.jobs[0].jobId;
    const others = [];
    for (let at = 0; at < 9; at++) {
      const other = await page.context().newPage();
      // Seen at first, then out of sight, as the browser tells it.
      await other.addInitScript(() => {
        let hidden = false;
        Object.defineProperty(document, "hidden", { get: () => hidden });
        Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
        Object.assign(globalThis, { hide: (now) => ((hidden = now), document.dispatchEvent(new Event("visibilitychange"))) });
      });
      await other.goto("#/terminals");
      await shows(other, /^tick \d+$/);
      await other.evaluate(() => globalThis.hide(true));
      others.push(other);
    }
    await page.goto(`#/jobs/${job}`);
    await page.locator(".log-row").filter({ hasText: "tick" }).first().waitFor();
    const [first] = others;
    await first.evaluate(() => globalThis.hide(false));
    const ticks = await first.locator(".xterm-rows").innerText();
    await waitUntil(async () => (await first.locator(".xterm-rows").innerText()) !== ticks, "the output that goes on");
    for (const other of others) await other.close();
    await api.post("api/jobs/cancel", { jobId: job });
  });

  uiTest("say why a job waits, let it be cancelled, and go on with those behind it", async ({ page, api }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByLabel("Runs on").selectOption("worker lab-1");
    await api.post("api/workers/drain", { workerId: "lab-1" });
    const now = page.getByRole("group", { name: "The job shown now" });
    for (const command of ["echo head", "echo dropped", "echo dropped too"]) {
      await run(page, command);
      await page.locator("#prompt:placeholder-shown").waitFor();
    }
    await now.getByText("echo head").waitFor();
    const head = await waitUntil(async () => (await api.get("api/jobs?state=pending&text=echo%20head")).json.jobs[0], "the job that waits");
    const why = (await api.status(head.jobId)).waiting;
    assert.ok(why, "the broker says why");
    await now.getByText(why).first().waitFor();
    await screenshot(page, "terminals-waiting-light");
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "terminals-waiting-dark");
    await checkAccessibility(page);
    await page.setViewportSize({ width: 360, height: 740 });
    await screenshot(page, "terminals-waiting-phone");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await checkAccessibility(page);
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.getByRole("button", { name: "Cancel the 2 behind it" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
    await page.getByText("2 jobs cancelled.").waitFor();
    assert.equal((await api.status(head.jobId)).status, "pending", "the one shown stays");
    await page.getByLabel("Runs on").selectOption("any");
    await api.post("api/workers/resume", { workerId: "lab-1" });
    await shows(page, /^head$/);
    await run(page, "echo goes on");
    await shows(page, /^goes on$/);
  });

  uiTest("go on behind a job that no worker fits, once it is cancelled", async ({ page, api, cluster }) => {
    await cluster.addWorker(["--id", "lab-gone", "--hostname", "lab-pc-9"]);
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByLabel("Runs on").selectOption("worker lab-gone");
    await api.post("api/workers/drain", { workerId: "lab-gone" });
    await run(page, "echo never");
    const now = page.getByRole("group", { name: "The job shown now" });
    await now.getByText("echo never").waitFor();
    await page.getByLabel("Runs on").selectOption("worker lab-1");
    await run(page, "echo 'the next one'; sleep 30");
    await now.getByText("Cancel the one behind it").waitFor();
    await now.getByRole("button", { name: "Cancel this job" }).click();
    await shows(page, "the next one");
    await now.getByText(/Running for/).waitFor();
    const [next, never] = (await api.get("api/jobs?limit=2")).json.jobs;
    assert.equal((await api.status(never.jobId)).reason, "cancelled");
    assert.equal((await api.status(next.jobId)).status, "running", "those behind it stay");
    await now.getByRole("button", { name: "Cancel this job" }).click();
    await now.getByText("cancelled", { exact: true }).waitFor();
  });

  uiTest("take a ZIP for their commands over a network that is cut, and refuse what is none", async ({ browser, cluster }) => {
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-project-"));
    const proxy = await startProxy(cluster.url);
    try {
      writeFileSync(join(folder, "text.zip"), "not a zip at all");
      writeFileSync(join(folder, "cable.zip"), zipOf({ "in.txt": "from the zip\n", "random.bin": randomBytes(60 * 1024 * 1024) }));
      await withPage(browser, proxy.url, {}, async (page, watch) => {
        watch.allow(/50[0-9]|ERR_|network|fetch/i);
        await page.goto("#/terminals");
        await page.getByRole("button", { name: "New terminal" }).first().click();
        const project = page.locator(".tab-project");
        const pick = (/** @type {string} */ name) => project.locator("input").setInputFiles(join(folder, name));
        await pick("text.zip");
        await project.getByRole("alert").getByText("text.zip is not a ZIP.").waitFor();
        await checkAccessibility(page);
        const begin = async () => {
          await pick("cable.zip");
          await project.getByText(/[1-9][\d.]* \S+ of 60\.0 MiB/).waitFor();
        };
        await begin();
        await project.getByRole("button", { name: "Cancel" }).click();
        await project.getByRole("button", { name: "none; choose a ZIP" }).waitFor();
        await begin();
        proxy.cut();
        await project.getByText("Waiting for the connection").waitFor();
        await screenshot(page, "terminals-upload-waits");
        await checkAccessibility(page);
        proxy.mend();
        await project.getByRole("button", { name: "cable.zip" }).waitFor({ timeout: 40000 });
        await run(page, "cat in.txt");
        await shows(page, /^from the zip$/);
      }, "terminals-cable");
    } finally {
      await proxy.close();
      rmSync(folder, { recursive: true });
    }
  });

  uiTest("say that the page should be loaded again when the terminal's own file is gone", async ({ page, watch }) => {
    watch.allow(/404|Failed to load/);
    await page.route(/\/xterm-[^/]*\.js$/, (route) => route.fulfill({ status: 404, body: "" }));
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    await page.getByRole("alert").getByText(/Reload the page/).waitFor();
  });

  uiTest("take of hostile output its text and its colours", async ({ page }) => {
    await page.goto("#/terminals");
    await page.getByRole("button", { name: "New terminal" }).first().click();
    const before = await page.title();
    await run(page, "printf 'kept\\n\\033[2J\\033[H\\033]0;owned\\007\\033]52;c;aGk=\\007\\033]8;;javascript:alert(1)\\007link\\033]8;;\\007 \\033[?1049h\\033[32mgreen\\033[0m\\n'");
    await shows(page, "completed on");
    await shows(page, /^kept$/);
    await shows(page, "link green");
    await page.locator(".xterm-rows .xterm-fg-2").getByText("green").first().waitFor();
    assert.equal(await page.title(), before);
    assert.equal(await page.locator(".terminal-host a").count(), 0);
    await screenshot(page, "terminals-hostile");
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
