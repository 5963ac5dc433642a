// All that is known of one attempt's output: its journal, followed; its bytes, on demand. Where there is no journal, or
// it ends early, the streams themselves are followed to know where their lines are.

import { signal } from "@preact/signals";
import { ApiError, send } from "../api/client";
import { Journal } from "./journal";
import { Blocks, STDERR, STDOUT, streamNames, type OutputStream } from "./logblocks";
import { ByteCache, type Wanted } from "./logbytes";
import type { FollowEnd } from "./follow";
import { Part, type PartOfView, type Shown } from "./logindex";
import { LineReader } from "./logread";
import { followSeen } from "./seen";

const TELL_MS = 16;
const BLOCK = 64 * 1024;
const NO_JOURNAL_MS = 4000;
const PLAIN_PAUSE_MAX_MS = 1000;

/** What the job's record says of the attempt. */
export interface Standing {
  over: boolean;
  /** stdout and stderr together; 0 when not known. */
  outputBytes: number;
  journalBytes: number;
}

const wantedStreams: Record<Shown, readonly OutputStream[]> = { both: [STDOUT, STDERR], stdout: [STDOUT], stderr: [STDERR] };

export class LogSource {
  journal = new Journal();
  readonly cache: ByteCache;
  readonly reader: LineReader;
  /** Counts up when there is more to see. */
  readonly version = signal(0);
  /** `journal`: the order of all lines is known. `cut`: up to where the journal ends. `plain`: not known. */
  mode: "journal" | "cut" | "plain" = "journal";
  gone = false;
  /** All there will be is known. */
  complete = false;
  private rest: [Blocks, Blocks] = [new Blocks(), new Blocks()];
  private views = new Map<Shown, PartOfView[]>();
  private standing: Standing = { over: false, outputBytes: 0, journalBytes: 0 };
  private abort = new AbortController();
  private journalAbort: AbortController | null = null;
  private restAbort = new AbortController();
  private tellTimer: ReturnType<typeof setTimeout> | undefined;
  private told = 0;
  private begun = 0;
  private restRunning = false;

  constructor(
    readonly jobId: string,
    readonly attempt: number,
    private readonly ended: () => void = () => undefined,
  ) {
    this.cache = new ByteCache(
      (stream, from, to) => this.read({ stream, from, to }),
      () => this.tell(),
      (error) => this.readFailed(error),
      (stream) => Math.max(this.journal.blocks.ends[stream], this.rest[stream].ends[stream]),
    );
    this.reader = new LineReader(this.cache);
  }

  /** Follows from where it was. */
  start(): void {
    this.abort = new AbortController();
    this.begun ||= Date.now();
    if (this.mode !== "plain") this.startJournal();
    if (this.mode !== "journal") this.startRest();
  }

  /** Follows no longer; start() goes on. */
  stop(): void {
    this.abort.abort();
    this.stopJournal();
    this.stopRest();
  }

  private startJournal(): void {
    if (this.journalAbort) return;
    this.journalAbort = new AbortController();
    void this.followJournal(this.journalAbort.signal);
  }

  private stopJournal(): void {
    this.journalAbort?.abort();
    this.journalAbort = null;
  }

  private stopRest(): void {
    this.restAbort.abort();
    this.restRunning = false;
  }

  /** Stops for good. */
  close(): void {
    this.stop();
    this.cache.stop();
    clearTimeout(this.tellTimer);
  }

  /** Hears what the job's record says. */
  note(standing: Standing): void {
    this.standing = standing;
    const silent = this.journal.size === 0 && standing.journalBytes === 0;
    const waited = standing.over || Date.now() - this.begun > NO_JOURNAL_MS;
    if (silent && waited && standing.outputBytes > 0 && this.mode === "journal" && this.begun > 0) this.fallBack("plain");
    if (this.mode === "plain" && standing.journalBytes > 0 && !this.abort.signal.aborted) this.startJournal(); // it came late
  }

  /** The parts of a view, up to date. */
  parts(shown: Shown): PartOfView[] {
    let parts = this.views.get(shown);
    if (!parts) {
      const wanted = wantedStreams[shown];
      parts = [{ name: "main", part: new Part(this.journal.blocks, wanted, this.journal.commands), headed: true }];
      if (this.mode !== "journal")
        for (const stream of wanted) parts.push({ name: streamNames[stream], part: new Part(this.rest[stream], [stream]), headed: shown === "both" });
      this.views.set(shown, parts);
    }
    for (const { part } of parts) part.sync();
    return parts;
  }

  /** Bytes by range, past the cache. */
  async read({ stream, from, to }: Wanted, stop?: AbortSignal): Promise<Uint8Array> {
    const kept = this.cache.get(stream, from, to);
    if (kept) return kept;
    const params = { jobId: this.jobId, stream: streamNames[stream], attempt: this.attempt };
    try {
      const response = await send("GET", "api/jobs/output", params, null, { headers: { Range: `bytes=${from}-${to - 1}` }, signal: stop });
      return new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      if (error instanceof ApiError && error.status === 416) return new Uint8Array(0); // not there yet
      throw error;
    }
  }

  private readFailed(error: unknown): boolean {
    if (!(error instanceof ApiError) || error.status !== 410) return true;
    this.gone = true;
    this.tell();
    return false;
  }

  private tell(): void {
    if (this.tellTimer !== undefined) return;
    const wait = Math.max(0, TELL_MS - (performance.now() - this.told));
    const now = (): void => {
      this.tellTimer = undefined;
      this.told = performance.now();
      this.version.value++;
    };
    if (wait === 0) now();
    else this.tellTimer = setTimeout(now, wait);
  }

  private open(stream: string, offset: number, stop: AbortSignal, stay = true): Promise<Response> {
    return send("GET", "api/jobs/output", { jobId: this.jobId, attempt: this.attempt, stream, offset, follow: stay ? 1 : null }, null, { signal: stop });
  }

  private async followJournal(stop: AbortSignal): Promise<void> {
    const end = await followSeen(
      {
        open: (offset, signal) => this.open("journal", offset, signal),
        offset: () => this.journal.size,
        take: (bytes) => this.takeJournal(bytes),
        over: () => this.standing.over,
        ended: this.ended,
      },
      stop,
    );
    if (end === "stopped") return;
    if (end === "gone") this.gone = true;
    else if (this.journal.size === 0) this.fallBack("plain");
    if (this.mode === "journal") this.complete = true;
    this.tell();
  }

  private takeJournal(bytes: Uint8Array): void {
    if (this.mode === "plain") this.leavePlain();
    this.journal.feed(bytes);
    if (this.journal.cutAt !== null && this.mode === "journal") this.fallBack("cut");
    this.tell();
  }

  // The journal came late: what was indexed without it is in it, too.
  private leavePlain(): void {
    this.stopRest();
    this.rest = [new Blocks(), new Blocks()];
    this.mode = "journal";
    this.views.clear();
  }

  private fallBack(mode: "cut" | "plain"): void {
    if (this.mode !== "journal") return;
    this.mode = mode;
    if (mode === "plain") this.stopJournal();
    this.rest = [new Blocks(this.journal.blocks.ends), new Blocks(this.journal.blocks.ends)];
    this.views.clear();
    this.startRest();
    this.tell();
  }

  private startRest(): void {
    if (this.restRunning) return;
    this.restRunning = true;
    this.restAbort = new AbortController();
    const stop = this.restAbort.signal;
    void Promise.all([this.followRest(STDOUT, stop), this.followRest(STDERR, stop)]).then((ends) => {
      if (ends.includes("stopped")) return;
      this.complete = true;
      this.gone ||= ends.includes("gone");
      this.tell();
    });
  }

  private followRest(stream: OutputStream, stop: AbortSignal): Promise<FollowEnd> {
    const blocks = this.rest[stream];
    return followSeen(
      {
        // What has no journal prints little or nothing before it ends: two connections held for it would be missed
        // elsewhere, of the six that a browser has.
        open: (offset, signal) => this.open(streamNames[stream], offset, signal, this.mode === "cut"),
        offset: () => blocks.ends[stream],
        pauseMaxMs: PLAIN_PAUSE_MAX_MS,
        take: (bytes) => {
          this.cache.put(stream, blocks.ends[stream], bytes);
          indexBytes(blocks, stream, bytes);
          this.tell();
        },
        over: () => this.standing.over,
        ended: () => {
          if (this.mode === "cut") this.ended();
        },
      },
      stop,
    );
  }
}

/** Adds bytes as blocks, counted here. */
export function indexBytes(blocks: Blocks, stream: OutputStream, bytes: Uint8Array): void {
  for (let from = 0; from < bytes.length; from += BLOCK) {
    const piece = bytes.subarray(from, from + BLOCK);
    let newlines = 0;
    for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, at + 1)) newlines++;
    blocks.push(stream, piece.length, newlines, piece.at(-1) !== 10, NaN, 0);
  }
}
