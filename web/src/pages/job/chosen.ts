// Lines that the user has chosen: in the address, and as text.

import { plainLine } from "../../lib/ansi";
import { ByteCache } from "../../lib/logbytes";
import type { Layout } from "../../lib/logindex";
import { LineReader } from "../../lib/logread";
import type { LogSource } from "../../lib/logsource";

export const COPY_MAX = 200_000;

/** "12" or "12-15" as first and last line; null for anything else. */
export function linesOf(text: string | null): [number, number] | null {
  const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(text ?? "");
  if (!match) return null;
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  return from > 0 && to > 0 ? [Math.min(from, to), Math.max(from, to)] : null;
}

export function lineQuery(one: number, other: number): string {
  const [from, to] = [Math.min(one, other), Math.max(one, other)];
  return from === to ? String(from) : `${from}-${to}`;
}

/** The text of chosen lines, read where it is not at hand. */
export async function chosenText(source: LogSource, layout: Layout, [from, to]: readonly [number, number]): Promise<string> {
  const last = Math.min(to, layout.rows);
  if (last - from + 1 > COPY_MAX) throw new Error(`These are more than ${COPY_MAX.toLocaleString("en-US")} lines: download the output instead.`);
  const store = new ByteCache(() => Promise.resolve(new Uint8Array(0)), () => undefined, () => false, () => 0, Infinity);
  const reader = new LineReader(store);
  const lines: string[] = [];
  for (let row = from - 1; row < last; row++) {
    const section = layout.sectionOf(row);
    if (!section) break;
    const inPart = section.first + row - section.row;
    let line = reader.line(section.part, inPart);
    for (let round = 0; !line && round < 4; round++) {
      for (const wanted of reader.takeMissing()) {
        const pageFrom = Math.floor(wanted.from / (64 * 1024)) * 64 * 1024; // pages are filled from their beginning
        store.put(wanted.stream, pageFrom, await source.read({ ...wanted, from: pageFrom }));
      }
      line = reader.line(section.part, inPart);
    }
    if (!line) throw new Error("Some of these lines cannot be read now.");
    lines.push(plainLine(line.text));
  }
  return lines.join("\n");
}
