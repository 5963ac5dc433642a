// That what these tests rest on can fail: a page's problems are seen, a file that could not be served is refused.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { compress } from "../../web/scripts/compress.mjs";
import { checkAccessibility, launchBrowser, screenshot, withPage } from "./lib/browser.mjs";
import { screenshotPath } from "./lib/paths.mjs";

const POLICY = "default-src 'none'; script-src 'self'; connect-src *; img-src 'self' data:";

describe("what a page does wrong", () => {
  /** @type {import("playwright-core").Browser} */
  let browser;
  /** @type {http.Server} */
  let server;
  let url = "";
  let script = "";
  let body = "";

  before(async () => {
    server = http.createServer((request, response) => {
      if (request.url === "/missing") return void response.writeHead(404).end();
      const isScript = request.url === "/a.js";
      response.setHeader("Content-Type", isScript ? "text/javascript" : "text/html");
      response.setHeader("Content-Security-Policy", POLICY);
      response.end(isScript ? script : `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>t</title><main><h1>t</h1>${body}</main><script src="/a.js"></script></html>`);
    });
    await new Promise((done) => server.listen(0, "127.0.0.1", () => done(undefined)));
    url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}/`;
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });

  /**
   * Loads a page with this script and markup.
   * @param {string} source
   * @param {string} markup
   * @param {(page: import("playwright-core").Page, watch: import("./lib/browser.mjs").Watch) => Promise<void>} [use]
   */
  function load(source, markup = "", use = async () => {}) {
    script = source;
    body = markup;
    return withPage(browser, url, {}, async (page, watch) => {
      await use(page, watch);
      await page.goto("");
      await page.waitForTimeout(200); // for what comes late
    });
  }

  test("nothing", () => load("console.log('fine'); console.warn('fine, too')"));
  test("an error on the console", () => assert.rejects(load("console.error('broken')"), /console: broken/));
  test("an exception", () => assert.rejects(load("throw new Error('thrown')"), /page error: .*thrown/));
  test("a rejection that nobody handles", () => assert.rejects(load("Promise.reject(new Error('lost'))"), /page error: .*lost/));
  test("inline style", () => assert.rejects(load("", "<p style='color: red'>x</p>"), /content policy: style-src/));
  test("a request to another origin", () =>
    assert.rejects(load("fetch('http://127.0.0.1:1/x').catch(() => {})"), /request to another origin: http:\/\/127.0.0.1:1\/x/));
  test("an answer that is an error", () => assert.rejects(load("fetch('/missing')"), /Failed to load resource.*404/));
  test("what a test brings about itself is allowed", () =>
    load("console.error('meant')", "", async (_page, watch) => watch.allow(/console: meant/)));
  test("what axe finds", async () => {
    await assert.rejects(withPage(browser, url, {}, async (page) => {
      body = "<img src='data:,'><button></button>";
      script = "";
      await page.goto("");
      await checkAccessibility(page);
    }), /image-alt|button-name/);
  });
  test("a screenshot lies in its folder", async () => {
    await load("", "<p>shown</p>");
    await withPage(browser, url, {}, async (page) => screenshot(page, "harness"));
    assert.ok(existsSync(screenshotPath("harness")));
    rmSync(screenshotPath("harness"));
  });
});

describe("web/scripts/compress.mjs", () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "gleaner-compress-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  test("packs what gets smaller, and clears old packs away", () => {
    writeFileSync(join(folder, "a.js"), "let a = 1;\n".repeat(100));
    writeFileSync(join(folder, "tiny.css"), "a{}");
    writeFileSync(join(folder, "a.png"), "png".repeat(100));
    writeFileSync(join(folder, "gone.js.gz"), "old");
    assert.equal(compress(folder), 3);
    assert.equal(gunzipSync(readFileSync(join(folder, "a.js.gz"))).toString(), "let a = 1;\n".repeat(100));
    assert.ok(existsSync(join(folder, "a.js.br")));
    for (const name of ["tiny.css.gz", "tiny.css.br", "a.png.gz", "gone.js.gz"]) assert.ok(!existsSync(join(folder, name)), name);
    const first = readFileSync(join(folder, "a.js.gz"));
    compress(folder);
    assert.ok(readFileSync(join(folder, "a.js.gz")).equals(first), "the same file gives the same pack");
  });

  test("refuses what the gateway would not serve", () => {
    mkdirSync(join(folder, "assets"));
    assert.throws(() => compress(folder), /assets: the gateway serves no such name/);
    rmSync(join(folder, "assets"), { recursive: true });
    writeFileSync(join(folder, "a b.js"), "");
    assert.throws(() => compress(folder), /a b.js/);
  });
});
