// A stream's bytes as text that is safe to write into a terminal, whatever a job prints and wherever its pieces are cut.

import { narrowLine, openSequence, openShort } from "./ansi";

/** One for each stream: a character or a sequence that is cut goes on in the same stream, not in the other one's bytes. */
export class TerminalText {
  private readonly decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  private held = ""; // a sequence that is not over, shortened

  take(bytes: Uint8Array): string {
    return this.narrow(this.decoder.decode(bytes, { stream: true }));
  }

  /** What was kept back of a character at the stream's end. */
  end(): string {
    return this.narrow(this.decoder.decode());
  }

  private narrow(text: string): string {
    const lines = (this.held + text).split("\n"); // a line's end ends every sequence, as it does in the log
    const last = lines.pop() ?? "";
    const open = openSequence(last);
    this.held = openShort(last.slice(open));
    lines.push(last.slice(0, open));
    return lines.map(narrowLine).join("\n");
  }
}
