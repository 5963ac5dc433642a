// The page's side of the worker that tries regular expressions.

import type { Marks } from "./matcher";

export interface ToWorker {
  want: "rows" | "marks";
  expression: RegExp;
  texts: readonly string[];
}

export type FromWorker = { kind: "ready" } | { kind: "found"; found: number[] | Marks[] } | { kind: "failed"; text: string };

/** What one question may take: a sound expression takes milliseconds. */
export const LIMIT_MS = 2000;

interface Asked {
  want: ToWorker["want"];
  texts: readonly string[];
  resolve: (found: never) => void;
  reject: (error: Error) => void;
}

/** Tries one expression, a question after the other, each within a bound of time. */
export class RegexClient {
  private worker: Worker | null = null;
  private ready = false;
  private asked: Asked[] = [];
  private ended: Error | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `failed` is told once why no more is answered, unless it was closed. */
  constructor(
    private readonly expression: RegExp,
    private readonly failed: (why: string) => void,
  ) {}

  get over(): boolean {
    return this.ended !== null;
  }

  /** Which of these texts match. */
  readonly matching = (texts: readonly string[]): Promise<number[]> => this.ask("rows", texts);

  /** Where each of these texts matches. */
  readonly marks = (texts: readonly string[]): Promise<Marks[]> => this.ask("marks", texts);

  close(): void {
    this.end(new DOMException("closed", "AbortError"));
  }

  private ask<T>(want: ToWorker["want"], texts: readonly string[]): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.ended) {
        reject(this.ended);
        return;
      }
      this.asked.push({ want, texts, resolve, reject });
      if (this.asked.length === 1) this.next();
    });
  }

  private next(): void {
    const [first] = this.asked;
    if (!first) return;
    this.worker ??= this.start();
    if (!this.ready) return; // the time that it takes to load is not the expression's
    this.timer = setTimeout(() => this.fail("This pattern takes too long. Try a simpler one."), LIMIT_MS);
    this.worker.postMessage({ want: first.want, expression: this.expression, texts: first.texts } satisfies ToWorker);
  }

  private start(): Worker {
    const worker = new Worker(new URL("./regex.worker.ts", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (this.ended) return;
      clearTimeout(this.timer);
      if (data.kind === "failed") {
        this.fail(data.text);
        return;
      }
      if (data.kind === "ready") this.ready = true;
      else this.asked.shift()?.resolve(data.found as never);
      this.next();
    };
    worker.onerror = () => this.fail("The part of the page that searches could not be loaded. Reload the page.");
    return worker;
  }

  private fail(why: string): void {
    if (this.ended) return;
    this.end(new Error(why));
    this.failed(why);
  }

  private end(error: Error): void {
    if (this.ended) return;
    this.ended = error;
    clearTimeout(this.timer);
    this.worker?.terminate();
    for (const { reject } of this.asked) reject(error);
    this.asked = [];
  }
}
