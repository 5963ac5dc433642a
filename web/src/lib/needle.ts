// What a log is searched for: which lines have it, and where. Plain text is looked for here; an expression, which may take for
// ever, in a worker.

import type { Matching } from "./logsearch";
import { marks, matching, type Marks } from "./matcher";
import { RegexClient } from "./regex-client";

export interface Needle {
  matching: Matching;
  /** Where a line matches, as far as that is known by now. The same text has the same answer until there is a better one. */
  marks: (text: string) => Marks;
  /** True when it answers no more. */
  over: () => boolean;
  close: () => void;
}

const NONE: Marks = [];
const KNOWN_MAX = 500; // lines; more than are ever seen at once

/** Where lines match, the same array each time, so that a row which did not change is not drawn again. */
class Known {
  private readonly known = new Map<string, Marks>();

  get(text: string): Marks | undefined {
    return this.known.get(text);
  }

  set(text: string, marks: Marks): Marks {
    if (this.known.size >= KNOWN_MAX && !this.known.has(text)) this.known.clear();
    const kept = marks.length ? marks : NONE;
    this.known.set(text, kept);
    return kept;
  }
}

export function plainNeedle(expression: RegExp): Needle {
  const known = new Known();
  return {
    matching: (texts) => matching(texts, expression),
    marks: (text) => known.get(text) ?? known.set(text, marks(text, expression)),
    over: () => false,
    close: () => undefined,
  };
}

/** `changed`: marks have come. `failed`: why it answers no more. */
export function regexNeedle(expression: RegExp, changed: () => void, failed: (why: string) => void): Needle {
  const client = new RegexClient(expression, failed);
  const known = new Known();
  let wanted: string[] = [];
  const ask = (): void => {
    const texts = wanted;
    wanted = [];
    client.marks(texts).then(
      (found) => {
        texts.forEach((text, at) => known.set(text, found[at] ?? NONE));
        if (found.some((one) => one.length > 0)) changed();
      },
      () => undefined, // `failed` tells
    );
  };
  const want = (text: string): Marks => {
    if (wanted.length === 0) queueMicrotask(ask);
    wanted.push(text);
    return known.set(text, NONE);
  };
  return { matching: client.matching, marks: (text) => known.get(text) ?? want(text), over: () => client.over, close: () => client.close() };
}
