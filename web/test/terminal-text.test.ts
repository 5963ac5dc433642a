import { describe, expect, it } from "vitest";
import { TerminalText } from "../src/lib/terminaltext";

const encoder = new TextEncoder();

function through(bytes: Uint8Array, cuts: number[] = []): string {
  const text = new TerminalText();
  let out = "";
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out += text.take(bytes.subarray(from, to));
    from = to;
  }
  return out + text.end();
}

const narrowed = (text: string): string => through(encoder.encode(text));

describe("text for a terminal", () => {
  it("keeps colours, carriage returns, tabs and backspaces", () => {
    const text = "a\tb\r\n\x1b[1;31mred\x1b[0m \x1b[38:2::1:2:3mown\x1b[m 10 %\r20 %\b\b\n";
    expect(narrowed(text)).toBe(text);
  });
  it("drops what would move the cursor, clear, or change modes", () => {
    expect(narrowed("a\x1b[2J\x1b[Hb\x1b[10;10Hc\x1b[?1049hd\x1b[3Ae\x1bcf\x1b(0g\x1b7h\x1b[!pi\x1b[6nj\x1bMk")).toBe("abcdefghijk");
  });
  it("drops titles, clipboards, links and other strings", () => {
    expect(narrowed("a\x1b]0;title\x07b\x1b]52;c;aGk=\x1b\\c\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07d")).toBe("abclinkd");
    expect(narrowed("a\x1bP1$r0m\x1b\\b\x1b_apc\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e\x1bktitle\x1b\\f")).toBe("abcdef");
  });
  it("makes 8-bit controls and characters that turn text around visible", () => {
    expect(narrowed("a\x9b2Jb\x9d0;x\x9cc")).not.toMatch(/\p{Cc}/u);
    expect(narrowed("a\u202eb")).toBe("a‹U+202E›b");
    expect(narrowed("a\x07\x0e\x0fb\x0b")).toBe("ab␋");
  });
  it("ends an open sequence with its line, so that it hides no more than that", () => {
    expect(narrowed("a\x1b]0;never closed\nb\x1b[12\nc\x1b")).toBe("a\nb\nc");
  });
  it("says the same wherever it is cut, a character and a sequence in pieces too", () => {
    const samples = [
      "é日😀\x1b[31mred\x1b[0m\x1b]52;c;aGk=\x07x\x1b]0;t\x1b\\y\x1b\x1b[1mz\r\n",
      "a\x1b]0;t\x1b]8;;u\x07b\x1bP\x07q\x1b\\c\x1b \x1b(Bd\x1b[?25le\x1b[1 qf\x1b]k\x1b[32mg\x1b]x\x1b",
    ];
    for (const sample of samples) {
      const bytes = encoder.encode(sample);
      const whole = through(bytes);
      for (let one = 0; one <= bytes.length; one++)
        for (let two = one; two <= bytes.length; two++) expect(through(bytes, [one, two])).toBe(whole);
      expect(through(bytes, Array.from(bytes, (_, at) => at))).toBe(whole);
    }
  });
  it("keeps little of a sequence that does not end", () => {
    for (const begin of ["\x1b]52;c;", "\x1bP", "\x1b[", "\x1b[ ", "\x1b"]) {
      const text = new TerminalText();
      const filler = begin.endsWith("[") ? "1;" : " ";
      for (let at = 0; at < 100; at++) expect(text.take(encoder.encode((at ? "" : begin) + filler.repeat(1000)))).toBe("");
      expect((text as unknown as { held: string }).held.length).toBeLessThan(200);
      expect(text.take(encoder.encode("m\x1b\\"))).toBe("");
      expect(text.take(encoder.encode("seen\n"))).toBe("seen\n");
    }
    const long = encoder.encode(`\x1b[${"1;".repeat(200)}mx`);
    expect(through(long)).toBe("x");
    expect(through(long, [300])).toBe("x");
  });
  it("of two streams each has its own cut characters", () => {
    const [out, err] = [new TerminalText(), new TerminalText()];
    const e = encoder.encode("é");
    expect(out.take(e.subarray(0, 1)) + err.take(encoder.encode("日")) + out.take(e.subarray(1))).toBe("日é");
  });
});
