// The real programs on free loopback ports, in a temporary folder of the test's own.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Api } from "./api.mjs";
import { BIN, WEB } from "./paths.mjs";
import { waitUntil } from "./wait.mjs";

/** One of our programs: started, stopped, killed and started again with the same options and log. */
export class Program {
  /** @type {import("node:child_process").ChildProcess | null} */
  process = null;
  /** The log's length at the last start. @type {number} */
  #begin = 0;

  /**
   * @param {string} name broker, gateway or worker
   * @param {string[]} args
   * @param {string} log
   */
  constructor(name, args, log) {
    Object.assign(this, { name, args, log });
  }

  get running() {
    return this.process !== null && this.process.exitCode === null && this.process.signalCode === null;
  }

  get text() {
    return existsSync(this.log) ? readFileSync(this.log, "utf8") : "";
  }

  /**
   * Log lines of an event since the last start.
   * @param {string} event
   */
  events(event) {
    return this.text.slice(this.#begin).split("\n").filter((line) => `${line} `.includes(` ${event} `));
  }

  /**
   * @param {string} event
   * @param {number} [seconds]
   */
  async waitEvent(event, seconds = 20) {
    return waitUntil(() => {
      const found = this.events(event).at(-1);
      if (!found && !this.running) throw new Error(`${this.name} ended:\n${this.text.slice(-2000)}`);
      return found;
    }, `${event} in ${this.log}`, seconds);
  }

  async start() {
    this.#begin = this.text.length;
    const env = Object.fromEntries(Object.entries(process.env).filter(([key]) =>
      !key.startsWith("GLEANER_") && !["WORKER_ID", "HOSTNAME", "NODE_OPTIONS"].includes(key)));
    const log = openSync(this.log, "a");
    // setpriv becomes the program, with the same process id: it ends with the test, however that ends.
    this.process = spawn("setpriv", ["--pdeathsig", "KILL", "--", join(BIN, `gleaner-${this.name}`), ...this.args],
      { stdio: ["ignore", log, log], env });
    closeSync(log);
    await this.waitEvent(`${this.name}-ready`);
    return this;
  }

  async #ended() {
    await waitUntil(() => !this.running, `the end of ${this.name}`, 30);
    return this.process.exitCode;
  }

  /** Ends it as an operator does. @returns {Promise<number | null>} its exit status */
  async stop() {
    if (this.running) this.process.kill("SIGTERM");
    return this.#ended();
  }

  /** kill -9 */
  async kill() {
    if (this.running) this.process.kill("SIGKILL");
    await this.#ended();
  }

  /** Stops and starts it; its address stays. */
  async restart() {
    await this.stop();
    return this.start();
  }

  /** SIGSTOP: it is there, and says nothing. */
  pause() {
    this.process.kill("SIGSTOP");
  }

  resume() {
    this.process.kill("SIGCONT");
  }
}

/** A broker, a gateway and what a test adds. */
export class Cluster {
  folder = mkdtempSync(join(tmpdir(), "gleaner-ui-"));
  /** @type {Program[]} */
  programs = [];
  /** @type {Program[]} */
  workers = [];

  /**
   * @param {object} [options]
   * @param {number} [options.workers] how many
   * @param {string[]} [options.worker] more arguments of each; --slots and the like
   * @param {string[]} [options.broker] more arguments of the broker
   * @param {string[]} [options.gateway] more arguments of the gateway
   */
  static async start({ workers = 0, worker = [], broker = [], gateway = [] } = {}) {
    const self = new Cluster();
    try {
      self.broker = await self.#add("broker", ["--listen", "tcp://127.0.0.1:0", "--data", join(self.folder, "data"), ...broker]);
      self.gateway = await self.addGateway(gateway);
      /** The page's address, with a slash at its end. */
      self.url = `http://${self.gateway.args[1]}/`;
      self.api = new Api(self.url);
      for (let at = 0; at < workers; at++) await self.addWorker(worker);
    } catch (error) {
      await self.close();
      throw error;
    }
    return self;
  }

  /** @param {string} name @param {string[]} args */
  async #add(name, args) {
    const program = new Program(name, args, join(this.folder, `${name}${this.programs.length}.log`));
    this.programs.push(program);
    await program.start();
    if (args[0] === "--listen") {
      // The address that port 0 became; a restart asks for the same one.
      const bound = /listening on (\S+?)[,/]?(\s|$)/.exec(program.events(`${name}-ready`)[0])[1];
      program.args[1] = bound.replace(/^http:\/\//, "");
    }
    return program;
  }

  /** @param {string[]} [args] */
  async addGateway(args = []) {
    return this.#add("gateway", ["--listen", "127.0.0.1:0", "--broker", this.broker.args[1], "--web", WEB,
      "--cache-dir", join(this.folder, `cache${this.programs.length}`), ...args]);
  }

  /** @param {string[]} [args] such as "--id", "lab-7", "--slots", "2" */
  async addWorker(args = []) {
    const worker = await this.#add("worker", ["--server", this.url, "--work-dir", join(this.folder, `work${this.programs.length}`), "--unsafe-no-sandbox", ...args]);
    this.workers.push(worker);
    return worker;
  }

  /** A worker over ZeroMQ. @param {string[]} [args] */
  async addNativeWorker(args = []) {
    const worker = await this.#add("worker", ["--broker", this.broker.args[1], "--work-dir", join(this.folder, `work${this.programs.length}`), "--unsafe-no-sandbox", ...args]);
    this.workers.push(worker);
    return worker;
  }

  /** Ends everything, workers first; what does not end well is an error. */
  async close() {
    const bad = [];
    for (const program of this.programs.reverse()) {
      if (!program.running) continue;
      try {
        program.resume();
        const status = await program.stop();
        if (status !== 0) bad.push(`${program.name} ended with ${status}:\n${program.text.slice(-2000)}`);
      } catch (error) {
        await program.kill();
        bad.push(String(error));
      }
    }
    rmSync(this.folder, { recursive: true, force: true });
    if (bad.length) throw new Error(bad.join("\n"));
  }
}
