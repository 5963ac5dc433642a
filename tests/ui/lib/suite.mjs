// A file's tests share a cluster and a browser; each test has a page of its own.
import { after, before, describe, test } from "node:test";
import { launchBrowser, withPage } from "./browser.mjs";
import { Cluster } from "./cluster.mjs";

const LIMIT_MS = 90000;

/**
 * @typedef {object} Tools
 * @property {import("playwright-core").Page} page not loaded yet: `await page.goto("")`, or "#/jobs/ID"
 * @property {import("./browser.mjs").Watch} watch
 * @property {Cluster} cluster
 * @property {import("./api.mjs").Api} api
 * @property {import("playwright-core").Browser} browser
 */

/**
 *     uiSuite("the job list", { workers: 1 }, (uiTest) => {
 *       uiTest("shows a job", async ({ page, api }) => { ... });
 *       uiTest("fits a phone", { viewport: { width: 360, height: 640 } }, async ({ page }) => { ... });
 *     });
 *
 * @param {string} title
 * @param {Parameters<typeof Cluster.start>[0]} options of the cluster
 * @param {(uiTest: (name: string, context: import("./browser.mjs").ContextOptions | ((tools: Tools) => Promise<void>),
 *   body?: (tools: Tools) => Promise<void>) => void) => void} define
 */
export function uiSuite(title, options, define) {
  describe(title, () => {
    /** @type {Cluster} */
    let cluster;
    /** @type {import("playwright-core").Browser} */
    let browser;
    before(async () => {
      cluster = await Cluster.start(options);
      browser = await launchBrowser();
    });
    after(async () => {
      await browser?.close();
      await cluster?.close();
    });
    define((name, context, body) => {
      const [contextOptions, run] = typeof context === "function" ? [{}, context] : [context, body];
      test(name, { timeout: LIMIT_MS }, () =>
        withPage(browser, cluster.url, contextOptions, (page, watch) => run({ page, watch, cluster, api: cluster.api, browser }), `${title}-${name}`));
    });
  });
}
