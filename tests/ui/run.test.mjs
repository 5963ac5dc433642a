// The Run page: a project is dropped or picked, sent, and runs.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipOf } from "./lib/api.mjs";
import { checkAccessibility, screenshot, withPage } from "./lib/browser.mjs";
import { startProxy } from "./lib/proxy.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

/**
 * Drops a file onto the page, as a user does with the mouse.
 * @param {import("playwright-core").Page} page @param {string} name @param {Buffer} content
 */
async function drop(page, name, content) {
  const transfer = await page.evaluateHandle(([fileName, text]) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], fileName));
    return data;
  }, /** @type {const} */ ([name, content.toString("base64")]));
  for (const type of ["dragenter", "dragover", "drop"]) await page.locator("main").dispatchEvent(type, { dataTransfer: transfer });
}

/** @param {import("playwright-core").Page} page */
async function openRun(page) {
  await page.goto("#/run");
  await page.getByRole("heading", { name: "Run", level: 1 }).waitFor();
}

/** The id of the job whose page is open. @param {import("playwright-core").Page} page */
async function openedJob(page) {
  await page.waitForURL(/#\/jobs\/job-/, { timeout: 60000 });
  return decodeURIComponent(new URL(page.url()).hash.split("/")[2].split("?")[0]);
}

const commands = (/** @type {import("playwright-core").Page} */ page) => page.getByRole("textbox", { name: "Commands" });
const runButton = (/** @type {import("playwright-core").Page} */ page) => page.getByRole("button", { name: "Run", exact: true });

uiSuite("run", { workers: 1, gateway: ["--upload-max", "100M"] }, (uiTest) => {
  uiTest("a dropped ZIP and its commands become a job", async ({ page, api }) => {
    await openRun(page);
    await drop(page, "project.zip", zipOf({ "hello.txt": "hello from the zip\n" }));
    await page.getByText("project.zip").first().waitFor();
    await commands(page).fill("cat hello.txt\necho done");
    await page.getByText("Options").click();
    await page.getByLabel("Name").fill("from the page");
    await page.getByLabel("Environment").fill("GREETING=hi there");
    await page.getByLabel("Attempts").fill("2");
    await screenshot(page, "run-filled-light", { fullPage: true });
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "run-filled-dark", { fullPage: true });
    await checkAccessibility(page);
    await runButton(page).click();
    const done = await api.waitJob(await openedJob(page));
    assert.equal(done.status, "completed");
    assert.equal(done.stdout, "hello from the zip\ndone\n");
    assert.deepEqual([done.name, done.env, done.maxAttempts], ["from the page", { GREETING: "hi there" }, 2]);
  });

  uiTest("a folder is zipped in the browser", async ({ page, api }) => {
    const folder = join(mkdtempSync(join(tmpdir(), "gleaner-ui-folder-")), "my project");
    mkdirSync(join(folder, "src", "deep"), { recursive: true });
    mkdirSync(join(folder, ".git"));
    writeFileSync(join(folder, "src", "deep", "ä b.txt"), "deep\n");
    writeFileSync(join(folder, "top.txt"), "top\n");
    writeFileSync(join(folder, ".git", "config"), "secret\n");
    try {
      await openRun(page);
      await page.locator("#run-pick-folder").setInputFiles(folder);
      await page.getByText("2 files").first().waitFor();
      await commands(page).fill("find . -type f | sort; find . -name '*.txt' -exec cat {} +");
      await runButton(page).click();
      const done = await api.waitJob(await openedJob(page));
      assert.equal(done.status, "completed", JSON.stringify(done));
      assert.match(done.stdout, /ä b\.txt/);
      assert.match(done.stdout, /deep\n/);
      assert.doesNotMatch(done.stdout, /\.git/);
    } finally {
      rmSync(join(folder, ".."), { recursive: true });
    }
  });

  uiTest("direct mode runs on the gateway's own machine", async ({ page, api }) => {
    await openRun(page);
    await drop(page, "a.zip", zipOf({ a: "1" }));
    await commands(page).fill("echo direct");
    await page.getByRole("radio", { name: "Direct" }).check();
    await runButton(page).click();
    const done = await api.waitJob(await openedJob(page));
    assert.equal(done.stdout, "direct\n");
  });

  uiTest("bad input is told in place, before anything is sent", async ({ page, api }) => {
    const before = (await api.get("api/jobs?limit=1")).json.total;
    await openRun(page);
    await runButton(page).click();
    await page.getByRole("alert").first().waitFor();
    assert.ok((await page.getByRole("alert").count()) >= 2, "no file and no commands, each told");
    for (const [name, content] of /** @type {[string, Buffer][]} */ ([["empty.zip", Buffer.alloc(0)], ["text.zip", Buffer.from("not a zip at all")],
      ["cut.zip", zipOf({ a: "1" }).subarray(0, 40)]])) {
      await drop(page, name, content);
      await page.getByText(name).first().waitFor();
      await waitUntil(async () => (await page.getByRole("alert").allInnerTexts()).some((text) => text.includes(name) || /ZIP|empty/i.test(text)), `a word on ${name}`);
    }
    await commands(page).fill("echo \u0007");
    await page.getByText("Options").click();
    await page.getByLabel("Environment").fill("NOT A PAIR");
    await page.getByLabel("Attempts").fill("minus one");
    await runButton(page).click();
    await waitUntil(async () => (await page.getByRole("alert").count()) >= 4, "each field's own word");
    await screenshot(page, "run-errors", { fullPage: true });
    await checkAccessibility(page);
    assert.equal((await api.get("api/jobs?limit=1")).json.total, before);
  });

  uiTest("a file that is too large is refused before it is sent", async ({ page }) => {
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-large-"));
    try {
      const zip = zipOf({ "random.bin": randomBytes(101 * 1024 * 1024) });
      writeFileSync(join(folder, "large.zip"), zip);
      await openRun(page);
      await page.waitForTimeout(300); // the limit comes with the first answer of the gateway
      await page.locator("#run-pick-zip").setInputFiles(join(folder, "large.zip"));
      await waitUntil(async () => (await page.getByRole("alert").allInnerTexts()).some((text) => /100(\.0)? MiB/.test(text)), "the limit, in words");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  uiTest("an upload goes on after the gateway was killed", async ({ page, api, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-cut-"));
    try {
      writeFileSync(join(folder, "big.zip"), zipOf({ "random.bin": randomBytes(80 * 1024 * 1024) }));
      await openRun(page);
      await page.locator("#run-pick-zip").setInputFiles(join(folder, "big.zip"));
      await commands(page).fill("wc -c < random.bin");
      await page.getByText("80.0 MiB").first().waitFor();
      await runButton(page).click();
      await page.getByRole("progressbar").first().waitFor();
      await waitUntil(async () => Number(await page.getByRole("progressbar").first().getAttribute("value")) > 0, "the first bytes");
      await cluster.gateway.kill();
      await page.getByText(/waiting for the connection/i).first().waitFor();
      await screenshot(page, "run-upload-waits");
      await cluster.gateway.start();
      const done = await api.waitJob(await openedJob(page), undefined, 60);
      assert.equal(done.stdout.trim(), String(80 * 1024 * 1024));
      assert.equal((await api.get("api/jobs?limit=5")).json.jobs.filter((/** @type {any} */ job) => job.command === "wc -c < random.bin").length, 1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  uiTest("an upload goes on after the network was cut in the middle of it", async ({ api, browser, cluster }) => {
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-cable-"));
    const proxy = await startProxy(cluster.url);
    try {
      writeFileSync(join(folder, "cable.zip"), zipOf({ "random.bin": randomBytes(80 * 1024 * 1024) }));
      await withPage(browser, proxy.url, {}, async (page, watch) => {
        watch.allow(/50[0-9]|ERR_|network|fetch/i);
        await openRun(page);
        await page.locator("#run-pick-zip").setInputFiles(join(folder, "cable.zip"));
        await commands(page).fill("wc -c < random.bin # over the cable");
        await page.getByText("80.0 MiB").first().waitFor();
        await runButton(page).click();
        const bar = page.getByRole("progressbar").first();
        await bar.waitFor();
        const share = async () => Number(await bar.getAttribute("value"));
        await waitUntil(async () => (await share()) > 0, "the first bytes");
        proxy.cut();
        await page.getByText(/waiting for the connection/i).first().waitFor();
        const sent = await share();
        assert.ok(sent > 0 && sent < 1, `cut in the middle, at ${sent}`);
        await page.waitForTimeout(1000);
        assert.equal(await share(), sent, "nothing goes over a cut cable");
        proxy.mend();
        await waitUntil(async () => (await page.getByText(/waiting for the connection/i).count()) === 0, "the upload that goes on", 30);
        const done = await api.waitJob(await openedJob(page), undefined, 60);
        assert.equal(done.stdout.trim(), String(80 * 1024 * 1024));
        assert.equal((await api.get("api/jobs?text=over%20the%20cable")).json.jobs.length, 1);
      }, "run-cable");
    } finally {
      await proxy.close();
      rmSync(folder, { recursive: true });
    }
  });

  uiTest("the whole way: a ZIP, its commands, its page, its artifact", async ({ page, api }) => {
    await openRun(page);
    await drop(page, "whole.zip", zipOf({ "in.txt": "from the zip" }));
    await page.getByText("whole.zip").first().waitFor();
    await commands(page).fill("mkdir -p out/deep; tr a-z A-Z < in.txt > out/deep/made.txt; echo printed");
    await page.getByText("Options").click();
    await page.getByLabel("Artifacts to keep").fill("out/**");
    await runButton(page).click();
    const job = await openedJob(page);
    await page.locator(".log-row").filter({ hasText: "printed" }).first().waitFor();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /Download artifacts/ }).click()]);
    assert.equal(download.suggestedFilename(), `${job}.zip`);
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-whole-"));
    try {
      await download.saveAs(join(folder, "a.zip"));
      assert.equal(execFileSync("unzip", ["-p", join(folder, "a.zip"), "out/deep/made.txt"]).toString(), "FROM THE ZIP");
    } finally {
      rmSync(folder, { recursive: true });
    }
    assert.equal((await api.status(job)).status, "completed");
  });

  uiTest("what was typed survives a reload and an absent broker", async ({ page, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    await openRun(page);
    await commands(page).fill("make all");
    await cluster.broker.kill();
    await page.reload();
    await waitUntil(async () => (await commands(page).inputValue()) === "make all", "the commands again");
    await cluster.broker.start();
  });

  uiTest("a double click on Run is one job, and leads to it", async ({ page, api }) => {
    const before = (await api.get("api/jobs?limit=1")).json.total;
    await openRun(page);
    await drop(page, "d.zip", zipOf({ a: "1" }));
    await commands(page).fill("echo once");
    await runButton(page).dblclick();
    const job = await openedJob(page);
    await api.waitJob(job);
    const again = page.getByRole("button", { name: "Run again" });
    await again.dblclick();
    await page.waitForURL((url) => url.hash.startsWith("#/jobs/job-") && !url.hash.includes(job));
    assert.equal((await api.get("api/jobs?limit=1")).json.total, before + 2);
  });

  uiTest("works by keyboard alone", async ({ page, api }) => {
    await openRun(page);
    await drop(page, "k.zip", zipOf({ a: "1" }));
    await page.getByText("k.zip").first().waitFor();
    await page.keyboard.press("e");
    await waitUntil(() => commands(page).evaluate((element) => element === document.activeElement), "the focus in the commands");
    await page.keyboard.type("echo by keys");
    await page.keyboard.press("Control+Enter");
    assert.equal((await api.waitJob(await openedJob(page))).stdout, "by keys\n");
  });

  uiTest("fits a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => {
    await openRun(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "run-phone", { fullPage: true });
    await checkAccessibility(page);
  });
});
