// A browser, and pages that fail a test on whatever a user should not see.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { CHROMIUM, screenshotPath } from "./paths.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A browser with a user data folder of its own, which goes when it is closed. */
export function launchBrowser() {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: false, // of the driver's two: the real browser without a window, by its own argument
    chromiumSandbox: false,
    args: ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
}

/**
 * @typedef {object} Watch
 * @property {string[]} problems what a user should not have seen
 * @property {(pattern: RegExp) => void} allow problems that the test itself brings about, by a cut network for example
 * @property {() => void} check throws when there is a problem
 */

/**
 * Notes console errors, errors of the page, violations of the content policy and requests to another origin.
 * @param {import("playwright-core").Page} page
 * @param {string} origin
 * @returns {Promise<Watch>}
 */
async function watchPage(page, origin) {
  /** @type {RegExp[]} */
  const allowed = [];
  /** @type {string[]} */
  const problems = [];
  /** @param {string} text */
  const note = (text) => {
    if (!allowed.some((pattern) => pattern.test(text))) problems.push(text);
  };
  page.on("console", (message) => {
    // A journal may tell of bytes that are still on their way: the page asks again, but the browser notes the answer.
    const early = /\b416\b/.test(message.text()) && message.location().url.includes("/api/jobs/output?");
    if (message.type() === "error" && !early) note(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => note(`page error: ${error.stack ?? error}`));
  page.on("crash", () => note("the page crashed"));
  page.context().on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== origin && !["data:", "blob:"].includes(url.protocol)) note(`request to another origin: ${request.url()}`);
  });
  await page.exposeBinding("gleanerPolicyViolation", (_source, text) => note(`content policy: ${text}`));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      globalThis.gleanerPolicyViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
  });
  return {
    problems,
    allow: (pattern) => allowed.push(pattern),
    check: () => {
      if (problems.length) throw new Error(`The page had problems:\n  ${problems.join("\n  ")}`);
    },
  };
}

/** @typedef {import("playwright-core").BrowserContextOptions} ContextOptions */

/**
 * Runs `use` with a page in a fresh context: no cache, no storage. The page is not loaded yet; its base is `url`.
 * @template T
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {ContextOptions} options viewport, colorScheme, reducedMotion, locale ...
 * @param {(page: import("playwright-core").Page, watch: Watch) => Promise<T>} use
 * @param {string} [name] of a screenshot when it fails
 * @returns {Promise<T>}
 */
export async function withPage(browser, url, options, use, name) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 800 }, locale: "en-GB", ...options });
  context.setDefaultTimeout(10000);
  try {
    const page = await context.newPage();
    const watch = await watchPage(page, new URL(url).origin);
    try {
      const value = await use(page, watch);
      watch.check();
      return value;
    } catch (error) {
      if (name) await page.screenshot({ path: screenshotPath(`failed-${name}`) }).catch(() => {});
      // What the page said tells more than the assertion that it did not hold.
      if (watch.problems.length && !String(error).includes(watch.problems[0])) error.message += `\nThe page had problems:\n  ${watch.problems.join("\n  ")}`;
      throw error;
    }
  } finally {
    await context.close();
  }
}

/**
 * build/ui-screenshots/NAME.png
 * @param {import("playwright-core").Page} page
 * @param {string} name
 * @param {import("playwright-core").PageScreenshotOptions} [options]
 */
export async function screenshot(page, name, options = {}) {
  await page.screenshot({ path: screenshotPath(name), animations: "disabled", ...options });
}

/**
 * Throws with what axe finds: WCAG 2.2 A and AA, and its best practices.
 * @param {import("playwright-core").Page} page
 * @param {{ include?: string, rules?: Record<string, { enabled: boolean }> }} [options]
 */
export async function checkAccessibility(page, { include, rules = {} } = {}) {
  // A place's own code may still be on its way: without its heading the page is not yet what is to be looked at.
  await page.locator("h1").first().waitFor({ state: "attached", timeout: 5000 }).catch(() => {});
  await page.evaluate(AXE);
  const violations = await page.evaluate(async ([selector, ruleSet]) => {
    const found = await globalThis.axe.run(selector ?? document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], rules: ruleSet, resultTypes: ["violations"] });
    return found.violations.map((violation) => `${violation.id} (${violation.impact}): ${violation.help}\n    ` +
      violation.nodes.map((node) => `${node.target.join(" ")}: ${node.failureSummary.replace(/\s+/g, " ")}`).join("\n    "));
  }, /** @type {const} */ ([include, rules]));
  if (violations.length) throw new Error(`axe at ${page.url()}:\n  ${violations.join("\n  ")}`);
}
