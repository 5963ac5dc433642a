// Logging in by the page: wrong and right tokens, what each role sees and what the server refuses of it, signing out, and a
// login that ends in the middle of something.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { checkAccessibility, screenshot } from "./lib/browser.mjs";
import { BIN } from "./lib/paths.mjs";
import { uiSuite } from "./lib/suite.mjs";
import { waitUntil } from "./lib/wait.mjs";

/** @typedef {import("./lib/cluster.mjs").Cluster} Cluster */
/** @typedef {import("playwright-core").Page} Page */

/** @param {Cluster} cluster @param {string[]} args */
const token = (cluster, ...args) =>
  execFileSync(join(BIN, "gleaner-broker"), ["token", args[0], "--data", join(cluster.folder, "data"), ...args.slice(1)], { encoding: "utf8", stdio: "pipe" }).trim();

/** @param {Cluster} cluster @param {string} role @param {string} name */
const create = (cluster, role, name) => token(cluster, "create", "--role", role, "--name", name);

/** A new token, as soon as the broker knows it. @param {Cluster} cluster @param {string} role @param {string} name */
async function created(cluster, role, name) {
  const made = create(cluster, role, name);
  await waitUntil(async () => (await cluster.api.get("api/session", { Authorization: `Bearer ${made}` })).status === 200, "the token", 10);
  return made;
}

/** @param {Page} page @param {string} text */
async function logIn(page, text) {
  await page.getByLabel("Token").fill(text);
  await page.getByRole("button", { name: "Log in" }).click();
}

const REFUSED = /\b(401|403|429)\b/; // a browser notes each answer that is a refusal

/** A job of the admin's. @param {Cluster} cluster @param {string} admin */
async function job(cluster, admin) {
  const answer = await cluster.api.request("POST", "api/jobs/create", { command: "true", fileUrl: "/uploads/none.zip", filename: "p.zip", name: "the job" }, { Authorization: `Bearer ${admin}` });
  assert.equal(answer.status, 200, String(answer.body));
  return answer.json.jobId;
}

uiSuite("login", { broker: ["--auth", "on"] }, (uiTest) => {
  uiTest("a wrong token, then a right one", async ({ page, cluster, watch }) => {
    watch.allow(REFUSED);
    const viewer = await created(cluster, "viewer", "vera");
    await page.goto("");
    const field = page.getByLabel("Token");
    await field.waitFor();
    assert.equal(await page.getByRole("navigation").count(), 0); // nothing of the page is there yet
    assert.ok(await field.evaluate((element) => element === document.activeElement));
    await checkAccessibility(page);
    await screenshot(page, "login-light");
    await logIn(page, "gleaner_wrong");
    await page.getByText("This token does not count").waitFor();
    await checkAccessibility(page);
    await screenshot(page, "login-wrong");
    await field.fill(viewer);
    await field.press("Enter");
    await page.getByText("vera").waitFor();
    assert.match(page.url(), /#\/jobs$/); // nothing to run for a viewer
    await checkAccessibility(page);
    await screenshot(page, "login-viewer");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.name, cookie.httpOnly, cookie.sameSite], ["gleaner", true, "Strict"]);
    assert.equal(await page.evaluate(() => document.cookie), "");
    assert.ok(!(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).includes(viewer));
    await page.reload(); // the login outlives the page
    await page.getByText("vera").waitFor();
  });

  uiTest("a viewer sees what there is, and no way to change it", async ({ page, cluster, watch }) => {
    watch.allow(REFUSED);
    const id = await job(cluster, await created(cluster, "admin", "ada"));
    await page.goto("");
    await logIn(page, await created(cluster, "viewer", "vera"));
    await page.getByRole("link", { name: "the job" }).first().waitFor();
    assert.deepEqual(await page.getByRole("navigation").getByRole("link").allInnerTexts(), ["Jobs", "Workers", "Overview"]);
    assert.equal(await page.getByRole("checkbox").count(), 0);
    await page.goto(`#/jobs/${id}`);
    await page.getByRole("heading", { name: "the job" }).waitFor();
    for (const name of ["Cancel", "Run again", "Run with changes", "Copy as curl"])
      assert.equal(await page.getByRole("button", { name }).count(), 0, name);
    await page.keyboard.press("r"); // nor by a key
    await page.goto("#/run");
    await page.getByText("Your role runs nothing.").waitFor();
    const said = await page.evaluate(async (jobId) => {
      const { key } = await (await fetch("api/session")).json();
      const post = async (path, body) => (await fetch(path, { method: "POST", body: JSON.stringify(body), headers: { "X-Gleaner-Key": key } })).status;
      return [await post("api/jobs/cancel", { jobId }), await post("api/jobs/create", {}), await post("api/workers/drain", { workerId: "w" }), (await fetch("api/audit")).status];
    }, id);
    assert.deepEqual(said, [403, 403, 403, 403]);
  });

  uiTest("an admin sees all of it", async ({ page, cluster }) => {
    const admin = await created(cluster, "admin", "ada");
    const id = await job(cluster, admin);
    await page.goto(`#/jobs/${id}`);
    await logIn(page, admin);
    await page.getByRole("heading", { name: "the job" }).waitFor(); // where one wanted to go
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Cancel the job" }).click();
    await page.getByText("cancelled").first().waitFor();
    assert.equal(await page.getByRole("navigation").getByRole("link").count(), 5);
  });

  uiTest("signing out", async ({ page, cluster, watch }) => {
    watch.allow(REFUSED);
    await page.goto("");
    await logIn(page, await created(cluster, "submitter", "sam"));
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Log in to Gleaner" }).waitFor();
    assert.equal(await page.getByText("sam").count(), 0);
    assert.deepEqual(await page.context().cookies(), []);
    await page.reload();
    await page.getByRole("heading", { name: "Log in to Gleaner" }).waitFor();
  });

  uiTest("a login that ends goes on where it was", async ({ page, cluster, watch }) => {
    watch.allow(REFUSED);
    watch.allow(/ERR_INCOMPLETE_CHUNKED_ENCODING/);
    const first = await created(cluster, "admin", "ada");
    await page.goto("#/run");
    await logIn(page, first);
    const commands = page.locator("#run-command");
    await commands.fill("echo kept");
    token(cluster, "revoke", first.split("_")[1]);
    const dialog = page.getByRole("dialog");
    await dialog.getByText("The login of ada is over.").waitFor({ timeout: 30000 });
    assert.ok(await page.getByLabel("Token").evaluate((element) => element === document.activeElement));
    await checkAccessibility(page, { include: "dialog" });
    await screenshot(page, "login-again");
    for (let press = 0; press < 3; press++) await page.keyboard.press("Escape");
    await dialog.waitFor(); // a browser closes it for a moment at the second press
    await logIn(page, await created(cluster, "admin", "ada"));
    await dialog.waitFor({ state: "detached" });
    assert.equal(await commands.inputValue(), "echo kept");
    assert.match(page.url(), /#\/run$/);
    assert.ok(await commands.evaluate((element) => element === document.activeElement)); // and the focus is where it was
    const id = await job(cluster, await created(cluster, "admin", "ada")); // feeds are live again
    await page.goto("#/jobs");
    await page.locator(`a[href="#/jobs/${id}"]`).waitFor();
  });

  uiTest("what was pressed while the login was over is done after it", async ({ page, cluster, watch }) => {
    watch.allow(REFUSED);
    const first = await created(cluster, "admin", "ada");
    const id = await job(cluster, first);
    await page.goto(`#/jobs/${id}`);
    await logIn(page, first);
    const cancel = page.getByRole("button", { name: "Cancel" });
    await cancel.waitFor();
    await page.context().clearCookies(); // as if it had run out this moment
    await cancel.click();
    await page.getByRole("button", { name: "Cancel the job" }).click();
    await page.getByText("The login of ada is over.").waitFor();
    await logIn(page, first);
    await page.getByText("cancelled").first().waitFor();
    const status = await cluster.api.get(`api/jobs/status?jobId=${id}`, { Authorization: `Bearer ${first}` });
    assert.equal(status.json.reason, "cancelled");
  });

  uiTest("in the dark, on a phone", { viewport: { width: 360, height: 640 }, colorScheme: "dark" }, async ({ page, cluster }) => {
    await page.goto("");
    await page.getByLabel("Token").waitFor();
    await screenshot(page, "login-phone-dark");
    await logIn(page, await created(cluster, "submitter", "somebody-with-a-rather-long-name"));
    await page.getByRole("button", { name: "Sign out" }).waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await checkAccessibility(page);
    await screenshot(page, "login-phone-in");
  });
});

uiSuite("a cluster that asks nobody", {}, (uiTest) => {
  uiTest("has no login", async ({ page }) => {
    await page.goto("");
    await page.getByRole("heading", { name: "Run" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Sign out" }).count(), 0);
    assert.equal(await page.getByRole("navigation").getByRole("link").count(), 5);
  });
});
