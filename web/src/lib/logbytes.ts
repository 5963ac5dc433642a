// The bytes of the output that were read last, in pages, bounded. What is looked at says which bytes it wants; they are
// fetched a few pages at a time, the newest wish first.

import type { OutputStream } from "./logblocks";

export const PAGE = 64 * 1024;
const REQUEST_PAGES = 4;
const AT_ONCE = 3;
const CACHE_MAX = 16 * 1024 * 1024;
const PAUSE_FIRST_MS = 40;
const PAUSE_MAX_MS = 3000;

/** Reads [from, to) of a stream. May give fewer bytes when there are no more yet. */
export type ReadBytes = (stream: OutputStream, from: number, to: number) => Promise<Uint8Array>;

export interface Wanted {
  stream: OutputStream;
  from: number;
  to: number;
}

interface Page {
  data: Uint8Array;
  /** How many of its bytes are there, from its beginning on. */
  have: number;
}

interface Request {
  stream: OutputStream;
  first: number;
  last: number;
  from: number;
  to: number;
}

/** Asks again after a failure? False: these bytes will never come. */
export type OnFailure = (error: unknown) => boolean;

export class ByteCache {
  private readonly pages = new Map<string, Page>(); // the least recently used first
  private wishes: readonly Wanted[] = [];
  private readonly busy = new Set<string>();
  private running = 0;
  private pause = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;
  /** Counts the bytes asked for over the network. */
  fetched = 0;

  constructor(
    private readonly read: ReadBytes,
    private readonly arrived: () => void,
    private readonly failed: OnFailure,
    /** Where a stream ends as far as is known: what is fetched is fetched up to there, or to its page's end. */
    private readonly end: (stream: OutputStream) => number = () => 0,
    private readonly pagesMax = CACHE_MAX / PAGE,
  ) {}

  /** Bytes held now. */
  get held(): number {
    return this.pages.size * PAGE;
  }

  private page(stream: OutputStream, number: number): Page | undefined {
    const key = `${stream}:${number}`;
    const page = this.pages.get(key);
    if (page) {
      this.pages.delete(key);
      this.pages.set(key, page);
    }
    return page;
  }

  /** [from, to) of a stream, or null when not all of it is here. The bytes are not to be changed. */
  get(stream: OutputStream, from: number, to: number): Uint8Array | null {
    if (to <= from) return new Uint8Array(0);
    const first = Math.floor(from / PAGE);
    const last = Math.floor((to - 1) / PAGE);
    if (first === last) {
      const page = this.page(stream, first);
      return page && page.have >= to - first * PAGE ? page.data.subarray(from - first * PAGE, to - first * PAGE) : null;
    }
    const result = new Uint8Array(to - from);
    for (let number = first; number <= last; number++) {
      const page = this.page(stream, number);
      const base = number * PAGE;
      const end = Math.min(to, base + PAGE);
      if (!page || page.have < end - base) return null;
      const start = Math.max(from, base);
      result.set(page.data.subarray(start - base, end - base), start - from);
    }
    return result;
  }

  /** Keeps bytes that came by another way. */
  put(stream: OutputStream, offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const number = Math.floor((offset + at) / PAGE);
      const inside = offset + at - number * PAGE;
      const count = Math.min(bytes.length - at, PAGE - inside);
      this.fill(stream, number, inside, bytes.subarray(at, at + count));
      at += count;
    }
  }

  private fill(stream: OutputStream, number: number, inside: number, bytes: Uint8Array): void {
    let page = this.page(stream, number);
    if (!page) {
      if (inside > 0) return; // a page is filled from its beginning
      this.pages.set(`${stream}:${number}`, (page = { data: new Uint8Array(0), have: 0 }));
    }
    const end = inside + bytes.length;
    if (inside > page.have || end <= page.have) return;
    if (page.data.length < end) {
      const larger = new Uint8Array(Math.min(PAGE, Math.max(end, page.data.length * 2)));
      larger.set(page.data.subarray(0, page.have));
      page.data = larger;
    }
    page.data.set(bytes, inside);
    page.have = end;
    for (const key of this.pages.keys()) {
      if (this.pages.size <= this.pagesMax) break;
      this.pages.delete(key);
    }
  }

  /** What is wanted from now on; older wishes that are not under way are forgotten. */
  want(wishes: readonly Wanted[]): void {
    this.wishes = wishes;
    this.pump();
  }

  /** The next request for the wishes: up to four neighbouring pages of which something lacks. */
  private next(): Request | null {
    for (const { stream, from, to } of this.wishes) {
      for (let number = Math.floor(from / PAGE); number * PAGE < to; number++) {
        if (!this.lacks(stream, number, to)) continue;
        let last = number;
        while (last + 1 < number + REQUEST_PAGES && (last + 1) * PAGE < to && this.lacks(stream, last + 1, to)) last++;
        const have = this.pages.get(`${stream}:${number}`)?.have ?? 0;
        return { stream, first: number, last, from: number * PAGE + have, to: Math.min(Math.max(to, this.end(stream)), (last + 1) * PAGE) };
      }
    }
    return null;
  }

  private lacks(stream: OutputStream, number: number, to: number): boolean {
    const key = `${stream}:${number}`;
    return !this.busy.has(key) && (this.pages.get(key)?.have ?? 0) < Math.min(PAGE, to - number * PAGE);
  }

  private pump(): void {
    while (this.running < AT_ONCE && !this.stopped && this.timer === undefined) {
      const request = this.next();
      if (!request) return;
      void this.run(request);
    }
  }

  private async run(request: Request): Promise<void> {
    const keys = Array.from({ length: request.last - request.first + 1 }, (_, at) => `${request.stream}:${request.first + at}`);
    for (const key of keys) this.busy.add(key);
    this.running++;
    let short = false;
    try {
      const bytes = await this.read(request.stream, request.from, request.to);
      this.fetched += bytes.length;
      this.put(request.stream, request.from, bytes);
      short = bytes.length < request.to - request.from;
      if (bytes.length > 0) this.pause = 0;
    } catch (error) {
      if (this.failed(error)) short = true;
      else this.stopped = true;
    }
    this.running--;
    for (const key of keys) this.busy.delete(key);
    if (short && this.timer === undefined) {
      this.pause = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_FIRST_MS, this.pause * 2));
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.pump();
      }, this.pause);
    }
    this.arrived();
    this.pump();
  }

  /** Asks for nothing more. */
  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
  }
}
