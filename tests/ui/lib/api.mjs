// The HTTP API as any client sees it.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { waitUntil } from "./wait.mjs";

/**
 * A small ZIP.
 * @param {Record<string, string | Buffer>} files name to content
 * @returns {Buffer}
 */
export function zipOf(files) {
  const folder = mkdtempSync(join(tmpdir(), "gleaner-zip-"));
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    return execFileSync("zip", ["-q", "-r", "-", "."], { cwd: folder, maxBuffer: 1 << 30 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @typedef {{ status: number, headers: http.IncomingHttpHeaders, body: Buffer, json: any }} Answer */

export class Api {
  /** @param {string} url with a slash at its end */
  constructor(url) {
    this.url = url;
  }

  /**
   * One request on a connection of its own, so that no restart of a program meets an old one.
   * @param {string} method
   * @param {string} path without a slash at its beginning
   * @param {object | Buffer | null} [body] an object goes as JSON
   * @param {Record<string, string>} [headers]
   * @returns {Promise<Answer>}
   */
  request(method, path, body = null, headers = {}) {
    const raw = body === null || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const own = { ...(raw ? { "Content-Length": String(raw.length) } : {}), ...(raw !== body ? { "Content-Type": "application/json" } : {}) };
    return new Promise((done, fail) => {
      const request = http.request(new URL(path, this.url), { method, agent: false, timeout: 30000, headers: { ...own, ...headers } }, (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          const bytes = Buffer.concat(chunks);
          done({ status: response.statusCode, headers: response.headers, body: bytes, get json() { return JSON.parse(bytes.toString()); } });
        });
      });
      request.on("timeout", () => request.destroy(new Error(`no answer to ${method} ${path}`)));
      request.on("error", fail);
      request.end(raw);
    });
  }

  /** @param {string} path @param {Record<string, string>} [headers] */
  get(path, headers) {
    return this.request("GET", path, null, headers);
  }

  /** @param {string} path @param {object} [body] */
  post(path, body = {}) {
    return this.request("POST", path, body);
  }

  /**
   * POST /api/execute with a ZIP of `files`.
   * @param {string} commands
   * @param {{ files?: Record<string, string | Buffer>, filename?: string, fields?: Record<string, string | number> }} [more] `fields`: the form's
   *   other parts, such as name, labels, mode
   */
  async execute(commands, { files = { "a.txt": "hello\n" }, filename = "project.zip", fields = {} } = {}) {
    const form = new FormData();
    for (const [key, value] of Object.entries({ mode: "distributed", commands, ...fields })) form.append(key, String(value));
    form.append("file", new Blob([zipOf(files)], { type: "application/zip" }), filename);
    const encoded = new Response(form);
    return this.request("POST", "api/execute", Buffer.from(await encoded.arrayBuffer()), { "Content-Type": encoded.headers.get("content-type") });
  }

  /**
   * The id of a new job.
   * @param {string} commands
   * @param {Parameters<Api["execute"]>[1]} [more]
   * @returns {Promise<string>}
   */
  async submit(commands, more) {
    const answer = await this.execute(commands, more);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return answer.json.jobId;
  }

  /** @param {string} job */
  async status(job) {
    const answer = await this.get(`api/jobs/status?jobId=${encodeURIComponent(job)}`);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return answer.json;
  }

  /**
   * The job's status as soon as it is one of these.
   * @param {string} job
   * @param {string[]} [states]
   * @param {number} [seconds]
   */
  async waitJob(job, states = ["completed", "failed"], seconds = 20) {
    return waitUntil(async () => {
      const status = await this.status(job);
      return states.includes(status.status) && status;
    }, `${job}: ${states.join(" or ")}`, seconds);
  }
}
