// The frame around the pages: navigation, keys, palette, colours, and the word on a broker or gateway that is away.
import assert from "node:assert/strict";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

const PAGES = ["Run", "Jobs", "Workers", "Overview", "Terminals"];

uiSuite("the frame", { workers: 0 }, (uiTest) => {
  uiTest("leads to every page", async ({ page }) => {
    await page.goto("");
    for (const name of PAGES) {
      await page.getByRole("navigation").getByRole("link", { name }).click();
      await page.getByRole("main").getByRole("heading", { level: 1 }).waitFor();
      assert.equal(await page.getByRole("navigation").locator("[aria-current=page]").innerText(), name);
      await waitUntil(async () => (await page.title()) === `${name} · Gleaner`, `the title ${name}`);
    }
  });

  uiTest("is used by keys alone", async ({ page }) => {
    await page.goto("");
    await page.getByRole("main").getByRole("heading", { level: 1 }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("w");
    await page.waitForURL("**/#/workers");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await screenshot(page, "keys");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").pressSequentially("overview");
    await screenshot(page, "palette");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/#/overview");
    await page.keyboard.press("Control+k");
    await page.getByRole("combobox").pressSequentially("job-1705329400000-abc123xyz");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/#/jobs/job-1705329400000-abc123xyz");
  });

  uiTest("skips to the content", async ({ page }) => {
    await page.goto("");
    await page.getByRole("heading").first().waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "main");
  });

  uiTest("is light, dark, or as the system has it, and remembers", { colorScheme: "dark" }, async ({ page }) => {
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await page.goto("");
    const dark = await background();
    await page.getByRole("button", { name: "Colours: auto" }).click();
    const light = await background();
    assert.notEqual(dark, light);
    await page.reload();
    await page.getByRole("button", { name: "Colours: light" }).waitFor();
    assert.equal(await background(), light);
  });

  uiTest("works whatever an older page has left in the browser", async ({ page }) => {
    const keys = ["theme", "run.history", "watched", "log.times", "tabs", "tab-shown", "workers.view", "run.file", "run.reuse", "run.unanswered", "run.draft", "run.notify"];
    for (const value of ["null", "5", '"x"', "[null]", "{}", "{torn"]) {
      await page.goto("");
      await page.evaluate(([names, text]) => names.forEach((name) => [localStorage, sessionStorage].forEach((area) => area.setItem(`gleaner.${name}`, text))), /** @type {const} */ ([keys, value]));
      for (const name of ["run", "jobs", "workers", "overview", "terminals"]) {
        await page.goto(`#/${name}`);
        await page.reload();
        await page.getByRole("main").getByRole("heading", { level: 1 }).waitFor();
      }
    }
  });

  uiTest("tells an address that names nothing", async ({ page }) => {
    await page.goto("#/nonsense");
    await page.getByText("There is no such page.").waitFor();
    await checkAccessibility(page);
  });

  uiTest("says that the broker is away, and goes on when it is back", async ({ page, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network/i);
    await page.goto("#/overview");
    await page.getByRole("heading").first().waitFor();
    await cluster.broker.kill();
    await page.getByRole("alert").filter({ hasText: "The broker is away" }).waitFor({ timeout: 20000 });
    await screenshot(page, "broker-away");
    await cluster.broker.start();
    await page.getByText("The broker is away").waitFor({ state: "hidden", timeout: 20000 });
  });

  uiTest("says that the gateway is away, and goes on when it is back", async ({ page, cluster, watch }) => {
    watch.allow(/50[0-9]|ERR_|network|fetch/i);
    await page.goto("#/jobs");
    await page.getByRole("heading").first().waitFor();
    await cluster.gateway.kill();
    await page.getByRole("alert").filter({ hasText: "The gateway cannot be reached" }).waitFor({ timeout: 20000 });
    await screenshot(page, "gateway-away");
    await cluster.gateway.start();
    await page.getByText("The gateway cannot be reached").waitFor({ state: "hidden", timeout: 20000 });
  });
});
