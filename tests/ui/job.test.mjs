// A job's page: its log live and complete, its timeline, its end, and what can be done with it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { withGate } from "./lib/gate.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

/** @param {import("playwright-core").Page} page */
const log = (page) => page.locator(".log-panel");
/** @param {import("playwright-core").Page} page @param {string | RegExp} text */
const line = (page, text) => page.locator(".log-row").filter({ hasText: text }).first();
/** @param {import("playwright-core").Page} page */
const shownLines = (page) => page.locator(".log-row .log-text").allInnerTexts();

const BUILD = [
  "echo checking; printf '\\033[32mgreen\\033[0m plain\\n'",
  "echo to stderr >&2; seq 1 30",
  "echo 'test 3 failed' >&2; exit 2",
  "echo never",
].join("\n");

uiSuite("a job's page", { workers: 1, worker: ["--slots", "3", "--id", "lab-1"] }, (uiTest) => {
  uiTest("shows output while the job runs, and its end", async ({ page, api }) => withGate(async (gate) => {
    const job = await api.submit(`echo early; ${gate.wait}; echo late`, { fields: { name: "two lines" } });
    await page.goto(`#/jobs/${job}`);
    await line(page, "early").waitFor();
    await page.locator(".log-head .hidden").getByText("running").waitFor();
    assert.equal((await api.status(job)).status, "running", "seen before the job ended");
    assert.match(await page.locator("#favicon").getAttribute("href"), /running/);
    assert.equal(await page.title(), "▶ running · two lines · Gleaner");
    gate.open();
    await line(page, "late").waitFor();
    await page.locator(".badge").getByText("completed").waitFor();
    await waitUntil(async () => /completed/.test(await page.locator("#favicon").getAttribute("href")), "the favicon of the end");
    assert.equal(await page.title(), "✓ completed · two lines · Gleaner");
    assert.deepEqual((await shownLines(page)).map((text) => text.trim()), ["early", "late"]);
  }));

  uiTest("tells how it died, command by command", async ({ page, api }) => {
    const job = await api.submit(BUILD, { fields: { name: "build" } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await page.getByText("A command ended with exit code 2.").first().waitFor();
    await page.getByText("test 3 failed").first().waitFor();
    const heads = page.locator(".log-head");
    await waitUntil(async () => (await heads.count()) === 3, "a head for each command that ran");
    assert.equal(await page.title(), "✗ failed · build · Gleaner");
    assert.match(await heads.nth(2).innerText(), /exit 2/);
    await heads.nth(0).getByRole("button").click();
    await line(page, "green plain").waitFor();
    const green = line(page, "green plain").locator("span", { hasText: /^green$/ });
    assert.notEqual(await green.evaluate((element) => getComputedStyle(element).color), await line(page, "green plain").evaluate((element) => getComputedStyle(element).color));
    for (const word of ["Submitted", "Assigned to", "Download", "Extract", "Done"]) await page.getByText(word, { exact: false }).first().waitFor();
    await screenshot(page, "job-failed-light");
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "job-failed-dark");
    await checkAccessibility(page);
  });

  uiTest("shows streams apart, times, a search and lines by their address", async ({ page, api }) => {
    const job = await api.submit("for i in $(seq 1 500); do echo line $i; done; echo 'needle [x]' >&2; seq 501 900");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}?line=432-434`);
    await line(page, "line 433").waitFor();
    assert.equal(await page.locator(".log-row.is-chosen").count(), 3);
    await page.keyboard.press("/");
    await page.keyboard.type("NEEDLE [");
    await page.getByText(/1 of 1/).waitFor();
    await page.keyboard.press("Enter");
    await page.locator(".log-row mark").first().waitFor();
    await page.getByRole("button", { name: "stderr" }).first().click();
    await waitUntil(async () => (await shownLines(page)).length === 1, "stderr alone");
    await page.getByRole("button", { name: "stdout" }).first().click();
    await waitUntil(() => page.url().includes("stream=stdout"), "the stream in the address");
    await line(page, /^line 1$/).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("main").click({ position: { x: 5, y: 5 } });
    await page.keyboard.press("G");
    await line(page, /^900$/).waitFor();
  });

  uiTest("is searched by an expression, and stays responsive with one that takes for ever", async ({ page, api }) => {
    const job = await api.submit(`seq -f 'row %g' 1 50; echo ${"a".repeat(40)}b; seq -f 'row %g' 51 300`);
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^row 1$/).waitFor();
    await page.getByRole("button", { name: "Regular expression" }).click();
    const search = page.getByLabel("Search the output");
    await search.fill("^row 2[57]$");
    await page.getByText("1 of 2 lines").waitFor();
    await page.locator(".log-row mark").getByText("row 25").waitFor();
    await search.fill("(a+)+$");
    await page.getByText(/takes too long/).waitFor({ timeout: 8000 });
    await screenshot(page, "job-search-slow");
    await checkAccessibility(page);
    await page.setViewportSize({ width: 360, height: 740 });
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await page.getByText(/takes too long/).scrollIntoViewIfNeeded();
    await screenshot(page, "job-search-slow-phone");
    await page.setViewportSize({ width: 1280, height: 800 });
    await search.fill("");
    await page.evaluate(() => {
      globalThis.gleanerGap = 0;
      let last = performance.now();
      const look = () => {
        globalThis.gleanerGap = Math.max(globalThis.gleanerGap, performance.now() - last);
        last = performance.now();
        setTimeout(look, 10);
      };
      look();
    });
    await search.fill("(a+)+$");
    await page.getByText(/takes too long/).waitFor({ timeout: 8000 });
    const gap = await page.evaluate(() => globalThis.gleanerGap);
    assert.ok(gap < 1000, `the page stood still for ${gap} ms`);
    await search.fill("b$");
    await page.getByText("1 of 1 lines").waitFor();
    await page.locator(".log-row mark").getByText("b", { exact: true }).waitFor();
  });

  uiTest("cancels after a question", async ({ page, api }) => {
    const job = await api.submit("echo begun; sleep 60");
    await page.goto(`#/jobs/${job}`);
    await line(page, "begun").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByRole("button", { name: /Cancel/ }).click();
    await page.getByText("The job was cancelled.").first().waitFor();
    assert.equal((await api.status(job)).reason, "cancelled");
  });

  uiTest("that is watched is told by the browser when it ends", async ({ page, api }) => withGate(async (gate) => {
    // Without a window the browser shows none: what it is asked to show is noted.
    await page.addInitScript(() => {
      globalThis.gleanerNotes = [];
      globalThis.Notification = class {
        static permission = "granted";
        static requestPermission = () => Promise.resolve("granted");
        constructor(/** @type {string} */ title) {
          globalThis.gleanerNotes.push(title);
        }
      };
    });
    const job = await api.submit(`${gate.wait}; exit 4`, { fields: { name: "long one" } });
    await page.goto(`#/jobs/${job}`);
    await page.getByRole("button", { name: "Watch" }).click();
    await page.goto("#/workers");
    gate.open();
    const notes = () => page.evaluate(() => globalThis.gleanerNotes);
    await waitUntil(async () => (await notes()).length > 0, "the notification");
    assert.deepEqual(await notes(), ["long one failed: command failed"]);
  }));

  uiTest("that is watched is told by the page where the browser does not notify", async ({ page, api }) => withGate(async (gate) => {
    await page.addInitScript(() => delete globalThis.Notification);
    const job = await api.submit(gate.wait, { fields: { name: "long one" } });
    await page.goto(`#/jobs/${job}`);
    const button = page.getByRole("button", { name: "Watch" });
    assert.match(await button.getAttribute("title"), /does not let it notify/);
    await button.click();
    await page.getByRole("button", { name: "Watching, in this page only" }).waitFor();
    await checkAccessibility(page);
    await page.goto("#/workers");
    gate.open();
    await page.getByText("long one completed.").waitFor();
  }));

  uiTest("runs again, as it was and with changes", async ({ page, api }) => {
    const job = await api.submit("cat a.txt", { fields: { name: "again", priority: 5 } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await page.getByRole("button", { name: "Run again" }).click();
    await page.waitForURL((url) => url.hash.startsWith("#/jobs/job-") && !url.hash.includes(job));
    const second = decodeURIComponent(new URL(page.url()).hash.split("/")[2]);
    const done = await api.waitJob(second);
    assert.deepEqual([done.stdout, done.name, done.priority], ["hello\n", "again", 5]);
    await page.getByRole("button", { name: /with changes/ }).click();
    await waitUntil(async () => (await page.getByRole("textbox", { name: "Commands" }).inputValue()) === "cat a.txt", "its commands");
  });

  uiTest("copies a curl that makes the same job", async ({ page, api, browser, cluster }) => {
    const job = await api.submit("echo \"it's\" \"$A\"; echo '$(x)'", { fields: { env: JSON.stringify({ A: "b'c" }) } });
    await api.waitJob(job);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(`#/jobs/${job}`);
    await page.getByRole("button", { name: "Copy as curl" }).click();
    const text = await page.evaluate(() => navigator.clipboard.readText());
    const answer = JSON.parse(execFileSync("sh", ["-c", text]).toString());
    const again = await api.waitJob(answer.jobId);
    assert.deepEqual([again.command, again.env, again.stdout], [(await api.status(job)).command, { A: "b'c" }, (await api.status(job)).stdout]);
  });

  uiTest("downloads artifacts and output", async ({ page, api }) => {
    const job = await api.submit("mkdir out; echo made > out/made.txt; echo printed", { fields: { artifacts: JSON.stringify(["out/**"]) } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    const folder = mkdtempSync(join(tmpdir(), "gleaner-ui-artifacts-"));
    try {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: /artifacts/i }).first().click()]);
      await download.saveAs(join(folder, "a.zip"));
      assert.equal(execFileSync("python3", ["-c", "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('out/made.txt').decode(), end='')", join(folder, "a.zip")]).toString(), "made\n");
      assert.equal(createHash("sha256").update(readFileSync(join(folder, "a.zip"))).digest("hex"), (await api.status(job)).artifactsSha256);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  uiTest("opens output as plain text in a tab of its own, which runs nothing of it", async ({ page, api }) => {
    const hostile = "<!DOCTYPE html><title>mine</title><script>document.title = 'ran'</script><b>bold</b> \u00e9\n";
    const job = await api.submit("cat page.html; echo to stderr >&2", { files: { "page.html": Buffer.from(hostile) } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    for (const [name, text] of [["stdout", hostile], ["stderr", "to stderr\n"]]) {
      const [tab] = await Promise.all([page.context().waitForEvent("page"), page.getByRole("link", { name: `Raw ${name}` }).click()]);
      await tab.waitForLoadState();
      assert.deepEqual([await tab.evaluate(() => document.contentType), await tab.evaluate(() => document.characterSet)], ["text/plain", "UTF-8"]);
      assert.equal(await tab.evaluate(() => document.body.textContent), text);
      assert.equal(await tab.title(), "");
      assert.equal(await tab.evaluate(() => window.opener), null);
      await tab.close();
    }
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download stdout" }).click()]);
    assert.equal(readFileSync(await download.path(), "utf8"), hostile);
  });

  uiTest("keeps a colour until it is closed, however the output came", async ({ page, api }) => {
    const job = await api.submit("printf '\\033[32mgreen\\n'; sleep 0.3; echo between >&2; sleep 0.3; printf 'still\\nto here\\033[0m plain\\n'\necho next");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^next$/).waitFor();
    const colour = (text) => line(page, text).locator(".log-text").evaluate((row) => getComputedStyle(row.firstElementChild ?? row).color);
    const green = await colour(/^green$/);
    assert.notEqual(green, await colour(/^next$/));
    for (const text of [/^still$/, /^to here plain$/]) assert.equal(await colour(text), green);
    assert.notEqual(await colour(/^between$/), green);
  });

  uiTest("goes on after the broker and the gateway were killed, with nothing lost or twice", async ({ page, api, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    const job = await api.submit("for i in $(seq 1 60); do echo n$i; sleep 0.1; done");
    await page.goto(`#/jobs/${job}`);
    await line(page, /^n5$/).waitFor();
    await cluster.broker.kill();
    await cluster.broker.start();
    await line(page, /^n25$/).waitFor({ timeout: 20000 });
    await cluster.gateway.kill();
    await waitUntil(async () => /offline/.test(await page.locator("#favicon").getAttribute("href")), "the icon of a gateway that is away", 20);
    await cluster.gateway.start();
    await page.locator(".badge").getByText("completed").waitFor({ timeout: 30000 });
    await page.setViewportSize({ width: 1280, height: 2200 });
    await waitUntil(async () => (await shownLines(page)).length >= 60, "all lines");
    assert.deepEqual((await shownLines(page)).map((text) => text.trim()), Array.from({ length: 60 }, (_, at) => `n${at + 1}`));
  });

  uiTest("keeps hostile output as text", async ({ page, api }) => {
    let dialogs = 0;
    page.on("dialog", (dialog) => (dialogs++, dialog.dismiss()));
    const job = await api.submit("cat hostile.bin; cat hostile.bin >&2", { files: { "hostile.bin": Buffer.concat([
      Buffer.from("<script>alert(1)</script><img src=x onerror=alert(2)>\n\u001b]0;title\u0007\u001b]8;;javascript:alert(3)\u0007link\u001b]8;;\u0007\n\u202Eevil\n"),
      Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a]), Buffer.from("x".repeat(300000) + "\n"), Buffer.from("\u001b[2J\u001b[1;1Hhome\nend\n")]) } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, "<script>alert(1)</script>").waitFor();
    await line(page, /^end$/).waitFor();
    assert.equal(await log(page).locator("script, img, a[href^=javascript]").count(), 0);
    assert.match(await page.title(), /Gleaner/);
    assert.equal(dialogs, 0);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
  });

  uiTest("of a lost attempt shows both, each with its own output", async ({ page, api, cluster }) => withGate(async (gate) => {
    const worker = await cluster.addWorker(["--id", "weak", "--label", "weak=yes"]);
    const job = await api.submit(`echo here; ${gate.wait}; echo done`, { fields: { requires: JSON.stringify({ weak: "yes" }) } });
    await waitUntil(async () => (await api.status(job)).stdout === "here\n", "its first output");
    await worker.kill();
    gate.open();
    await worker.start();
    await api.waitJob(job, undefined, 60);
    await page.goto(`#/jobs/${job}?attempt=1`);
    await line(page, "here").waitFor();
    assert.deepEqual((await shownLines(page)).map((text) => text.trim()), ["here"]);
    await page.getByRole("link", { name: /attempt 2|^2\b/i }).first().click();
    await line(page, "done").waitFor();
  }));

  uiTest("opened in more tabs than the browser has connections still loads in each", async ({ page, api }) => {
    const job = await api.submit("for i in $(seq 1 200); do echo tick $i; sleep 0.2; done");
    const others = [];
    for (let at = 0; at < 9; at++) {
      const other = await page.context().newPage();
      // A tab out of sight, as the browser tells it.
      await other.addInitScript(() => {
        Object.defineProperty(document, "hidden", { get: () => true });
        Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
      });
      await other.goto(`#/jobs/${job}`);
      others.push(other);
    }
    await page.goto(`#/jobs/${job}`);
    await line(page, "tick").waitFor();
    for (const other of others) await other.close();
    await api.post("api/jobs/cancel", { jobId: job });
  });

  uiTest("of an agent that sends no journal is shown as it comes, and holds no connection for it", async ({ page, api }) => {
    const worker = { workerId: "old-agent", hostname: "old", labels: { kind: "old" } };
    await api.post("api/workers/register", worker);
    const job = await api.submit("make", { fields: { requires: JSON.stringify({ kind: "old" }) } });
    const given = await waitUntil(async () => (await api.get("api/jobs/get-job?workerId=old-agent")).json.job, "the job for the agent");
    assert.equal(given.jobId, job);
    const say = async (data) => assert.equal((await api.post("api/jobs/stream-output", { jobId: job, data, type: "stdout" })).status, 200);
    await say("first\n");
    const open = new Set();
    page.on("request", (request) => open.add(request));
    for (const over of ["requestfinished", "requestfailed"]) page.on(over, (request) => open.delete(request));
    await page.goto(`#/jobs/${job}`);
    await line(page, /^first$/).waitFor({ timeout: 15000 });
    await say("second\n");
    await line(page, /^second$/).waitFor();
    const held = () => [...open].filter((request) => request.url().includes("follow=1")).length;
    await waitUntil(() => held() === 0, "no connection held for its output");
    const ended = await api.post("api/jobs/submit-result", { jobId: job, workerId: "old-agent", exitCode: 0, stdout: "first\nsecond\nthird\n", stderr: "" });
    assert.equal(ended.status, 200);
    await line(page, /^third$/).waitFor();
    assert.equal(await line(page, /^first$/).count(), 1);
  });

  uiTest("that does not exist is told in words", async ({ page, watch }) => {
    watch.allow(/404/);
    await page.goto("#/jobs/job-1705329400000-abc123xyz");
    await page.getByText("There is no such job.").waitFor();
    await page.goto("#/jobs/nonsense");
    await page.getByText(/There is no such job|cannot be shown/).waitFor();
  });

  uiTest("is used by keys alone", async ({ page, api }) => {
    const job = await api.submit("seq 1 2000");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^1$/).waitFor();
    await page.keyboard.press("G");
    await line(page, /^2000$/).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("g");
    await line(page, /^1$/).waitFor();
  });

  uiTest("folds a command and chooses lines by keys", async ({ page, api }) => {
    const job = await api.submit("seq 1 5\nseq 6 500");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^1$/).waitFor();
    const box = page.getByRole("treegrid", { name: "Output" });
    /** What a screen reader is told is current. */
    const here = () => box.evaluate((element) => {
      const rows = [...element.querySelectorAll(".is-here")];
      const told = element.getAttribute("aria-activedescendant") ?? "";
      return rows.length === 1 && rows[0].id === told ? `${rows[0].getAttribute("aria-rowindex")} ${rows[0].querySelector(".log-title, .log-text").textContent}` : `${rows.length} rows, told of '${told}'`;
    });
    const address = (text) => waitUntil(() => page.url().endsWith(text), `${text} in ${page.url()}`);
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press("l");
    assert.equal(await here(), "1 seq 1 5");
    assert.equal(await box.getByRole("row", { expanded: true }).count(), 2);
    await press("Enter");
    assert.equal(await box.getByRole("row", { expanded: false }).count(), 1);
    assert.equal(await here(), "1 seq 1 5");
    await press("ArrowDown");
    assert.equal(await here(), "2 seq 6 500");
    await press("ArrowUp", " ", "ArrowDown", "ArrowDown", "ArrowDown", "Enter");
    assert.equal(await here(), "4 3");
    await address("line=3");
    await press("Shift+ArrowDown", "Shift+ArrowDown");
    await address("line=3-5");
    await press("Shift+ArrowDown", "Shift+ArrowDown"); // over the head of the second command
    assert.equal(await here(), "8 6");
    await address("line=3-6");
    await press("Shift+ArrowUp", "Shift+ArrowUp", "Shift+ArrowUp", "Shift+ArrowUp", "Shift+ArrowUp");
    await address("line=2-3");
    await press("End");
    await line(page, /^500$/).waitFor();
    assert.equal(await here(), "502 500");
    await press("Shift+Enter");
    await address("line=3-500");
    await press("PageUp");
    const [, up] = /^(\d+) /.exec(await here());
    assert.ok(Number(up) > 470 && Number(up) < 500, `a page up is line ${up}`);
    await press("Home");
    assert.equal(await here(), "1 seq 1 5");
    await press("ArrowRight");
    assert.equal(await box.getByRole("row", { expanded: false }).count(), 0, "it was unfolded");
    await press("ArrowLeft", "ArrowLeft");
    await box.getByRole("row", { expanded: false }).getByText("exit 0").waitFor();
    await press("ArrowRight");
    await box.getByRole("row", { expanded: false }).waitFor({ state: "detached" });
    await press("PageDown", "PageUp");
    assert.equal(await here(), "1 seq 1 5");
    assert.deepEqual(await box.getByRole("row", { selected: true }).first().innerText(), "3");
    assert.equal(await box.evaluate((element) => element.scrollWidth - element.clientWidth), 0, "short lines and heads need no bar below");
    await press("ArrowDown", "ArrowDown");
    await screenshot(page, "job-keys-light");
    await checkAccessibility(page);
    await page.emulateMedia({ colorScheme: "dark" });
    await screenshot(page, "job-keys-dark");
    await checkAccessibility(page);
    await press("?");
    await page.getByRole("dialog").getByText("On a command: fold or unfold it").waitFor();
    await screenshot(page, "job-keys-sheet");
    await checkAccessibility(page);
    await press("Escape");
  });

  uiTest("goes on by keys from the line that was clicked, and a link there hears its own", async ({ page, api }) => {
    const job = await api.submit("seq 1 500");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^7$/).click();
    assert.equal(await page.locator(".is-here").count(), 0, "a pointer needs no current line");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator(".is-here .log-text").innerText(), "8");
    await page.locator(".log-fold").click();
    assert.equal(await page.locator(".log-box").evaluate((element) => element === document.activeElement), true);
    await page.keyboard.press("Enter");
    await line(page, /^7$/).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator(".is-here .log-text").innerText(), "2");
    await page.keyboard.press("Enter");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator(".is-here .log-text").innerText(), "3");
    // The bar of what is chosen took room: the line at the bottom is still in sight when it comes.
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    await page.locator(".log-selection").waitFor({ state: "detached" });
    for (let at = 0; at < 60; at++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.locator(".log-selection").waitFor();
    await waitUntil(() => page.locator(".is-here").evaluate((row) => row.getBoundingClientRect().bottom < row.closest(".log-box").getBoundingClientRect().bottom + 1), "the current line in sight");
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.locator(".is-here .log-text").innerText(), "64");
  });

  uiTest("loses no key of those that come between two pictures", async ({ page, api }) => {
    const job = await api.submit("seq 1 50");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await line(page, /^7$/).click();
    // Keys without a frame between them: what runs after a picture, runs late for each of them.
    const keys = ["ArrowDown", "ArrowDown", "Enter", "ArrowDown", "ArrowUp", "Enter", "ArrowDown", "Enter", "ArrowDown"];
    await page.locator(".log-box").evaluate(async (box, pressed) => {
      for (const key of pressed) {
        box.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      }
    }, keys);
    await page.locator(".log-row.is-chosen").filter({ hasText: /^10$/ }).waitFor();
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100))));
    assert.equal(await page.locator(".is-here .log-text").innerText(), "11");
    assert.match(page.url(), /line=10$/);
  });

  uiTest("has lines with a link of their own, which stays with its attempt", async ({ page, api }) => {
    const job = await api.submit("seq 1 90");
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}?stream=stdout`);
    await page.getByRole("row", { name: "Line 6 6", exact: true }).getByRole("rowheader").getByRole("button", { name: "Line 6" }).dispatchEvent("click"); // as a screen reader does
    await page.locator(".log-row.is-chosen").filter({ hasText: /^6$/ }).waitFor();
    await page.getByRole("button", { name: "Choose no line" }).click();
    const number = (/** @type {number} */ row) => page.locator(`.log-number[data-row="${row}"]`);
    await number(7).waitFor();
    const [tab] = await Promise.all([page.context().waitForEvent("page"), number(7).click({ button: "middle" })]);
    await tab.locator(".log-row.is-chosen").filter({ hasText: /^7$/ }).waitFor();
    assert.ok(tab.url().endsWith(`#/jobs/${job}?stream=stdout&attempt=1&line=7`), tab.url());
    await tab.close();
    const [other] = await Promise.all([page.context().waitForEvent("page"), number(8).click({ modifiers: ["ControlOrMeta"] })]);
    await other.close();
    assert.equal(await page.locator(".log-row.is-chosen").count(), 0, "what the browser opens elsewhere is not chosen here");
    await number(5).click();
    await number(9).click({ modifiers: ["Shift"] });
    await page.waitForURL((url) => url.hash === `#/jobs/${job}?stream=stdout&attempt=1&line=5-9`);
    await page.getByRole("button", { name: "Choose no line" }).click();
    await page.waitForURL((url) => url.hash === `#/jobs/${job}?stream=stdout`);
  });

  uiTest("fits a phone", { viewport: { width: 360, height: 740 } }, async ({ page, api }) => {
    const job = await api.submit(BUILD, { fields: { name: "build" } });
    await api.waitJob(job);
    await page.goto(`#/jobs/${job}`);
    await page.getByText("A command ended with exit code 2.").first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at the side");
    await screenshot(page, "job-phone", { fullPage: true });
    await checkAccessibility(page);
  });
});
