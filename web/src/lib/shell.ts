// Colours for shell commands, and advice on what a line cannot do. A line is one command for /bin/sh, so nothing reaches
// beyond its end: no quote, no here-document, no `cd`.

export type Kind = "plain" | "command" | "keyword" | "string" | "variable" | "comment" | "operator" | "option";

export interface Token {
  kind: Kind;
  text: string;
}

export interface Line {
  tokens: Token[];
  /** What is still open at the end: a quote, `$(`, ...; "" when nothing is. */
  open: string;
}

const keywords = new Set(["if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "function", "!", "{", "}", "[[", "]]"]);
/** Behind these another command begins. */
const opensCommand = new Set(["if", "then", "elif", "else", "while", "until", "do", "!", "{"]);
const operators = ["<<<", "&>>", "<<-", "&&", "||", ";;", ">>", "<<", ">&", "<&", "&>", ">|", "|", "&", ";", "<", ">", "(", ")"];
const beginsCommand = new Set(["&&", "||", "|", "&", ";", ";;", "("]);

class Scanner {
  at = 0;
  open = "";
  readonly tokens: Token[] = [];

  constructor(readonly text: string) {}

  add(kind: Kind, text: string): void {
    const last = this.tokens.at(-1);
    if (!text) return;
    if (last?.kind === kind) last.text += text;
    else this.tokens.push({ kind, text });
  }

  /** The index behind `close`, from `from` on; at the end of the text when there is none. */
  until(from: number, close: string, escapes: boolean): number {
    for (let at = from; at < this.text.length; at++) {
      if (escapes && this.text[at] === "\\") at++;
      else if (this.text[at] === close) return at + 1;
    }
    this.open ||= close;
    return this.text.length;
  }

  /** The index behind `$(...)` or `${...}` that begins at `from`. */
  untilNested(from: number): number {
    const [left, right] = this.text[from + 1] === "(" ? ["(", ")"] : ["{", "}"];
    let depth = 0;
    for (let at = from + 1; at < this.text.length; at++) {
      const char = this.text[at];
      if (char === "\\") at++;
      else if (char === "'" && left === "(") at = this.until(at + 1, "'", false) - 1;
      else if (char === left) depth++;
      else if (char === right && --depth === 0) return at + 1;
    }
    this.open ||= `$${left}`;
    return this.text.length;
  }

  /** The index behind the variable that begins at `from`; `from` itself when none does. */
  variable(from: number): number {
    const next = this.text[from + 1] ?? "";
    if (next === "(" || next === "{") return this.untilNested(from);
    const name = /^(?:[A-Za-z_]\w*|[0-9?#@*!$-])/.exec(this.text.slice(from + 1));
    return name ? from + 1 + name[0].length : from;
  }

  doubleQuoted(): void {
    const end = this.until(this.at + 1, '"', true);
    let plainFrom = this.at;
    let at = this.at + 1;
    while (at < end) {
      const after = this.text[at] === "$" ? Math.min(end, this.variable(at)) : at;
      if (after > at) {
        this.add("string", this.text.slice(plainFrom, at));
        this.add("variable", this.text.slice(at, after));
        plainFrom = at = after;
      } else at += this.text[at] === "\\" ? 2 : 1;
    }
    this.add("string", this.text.slice(plainFrom, end));
    this.at = end;
  }

  /** A quoted part, a variable or an escape that begins here; false when none does. */
  special(kind: Kind): boolean {
    const char = this.text[this.at];
    let end = this.at;
    if (char === '"') {
      this.doubleQuoted();
      return true;
    }
    if (char === "'") end = this.until(this.at + 1, "'", false);
    else if (char === "`") end = this.until(this.at + 1, "`", true);
    else if (char === "$") end = this.variable(this.at);
    else if (char === "\\") end = Math.min(this.text.length, this.at + 2);
    if (end === this.at) return false;
    this.add(char === "'" ? "string" : char === "\\" ? kind : "variable", this.text.slice(this.at, end));
    this.at = end;
    return true;
  }
}

const ASSIGNMENT = /^[A-Za-z_]\w*\+?=/;
const WORD_END = /[\s"'`$\\|&;<>()]/;

/** One word, which may have quoted parts. True when a command is to follow it. */
function word(scan: Scanner, first: boolean): boolean {
  let end = scan.at;
  while (end < scan.text.length && !WORD_END.test(scan.text[end]!)) end++;
  const text = scan.text.slice(scan.at, end);
  const whole = end === scan.text.length || /[\s;)]/.test(scan.text[end]!);
  const assignment = first ? ASSIGNMENT.exec(text) : null;
  let kind: Kind = first ? "command" : text.startsWith("-") ? "option" : "plain";
  let again = false;
  if (assignment) {
    scan.add("variable", assignment[0]);
    scan.at += assignment[0].length;
    kind = "plain";
    again = true;
  } else if (whole && keywords.has(text) && (first || text === "in" || text === "}" || text === "]]")) {
    scan.add("keyword", text);
    scan.at = end;
    return opensCommand.has(text);
  }
  scan.add(kind, scan.text.slice(scan.at, end));
  scan.at = end;
  while (scan.at < scan.text.length && !/[\s|&;<>()]/.test(scan.text[scan.at]!)) {
    if (scan.special(kind)) continue;
    scan.add(kind, scan.text[scan.at]!);
    scan.at++;
  }
  return again;
}

/** The tokens of one line; their texts, one after the other, are the line. */
export function tokenize(text: string): Line {
  const scan = new Scanner(text);
  let first = true;
  while (scan.at < text.length) {
    const space = /^\s+/.exec(text.slice(scan.at));
    if (space) {
      scan.add("plain", space[0]);
      scan.at += space[0].length;
    } else if (text[scan.at] === "#") {
      scan.add("comment", text.slice(scan.at));
      break;
    } else {
      const operator = operators.find((one) => text.startsWith(one, scan.at));
      if (operator) {
        scan.add("operator", operator);
        scan.at += operator.length;
        first = beginsCommand.has(operator);
      } else first = word(scan, first);
    }
  }
  return { tokens: scan.tokens, open: scan.open };
}

const openWords: Record<string, string> = {
  "'": "a ' is not closed",
  '"': 'a " is not closed',
  "`": "a ` is not closed",
  "$(": "a $( is not closed",
  "${": "a ${ is not closed",
};

/** What a line will not do as it is meant, a sentence; null: nothing is known against it. */
export function adviceOn(text: string): string | null {
  const { tokens, open } = tokenize(text);
  const code = tokens.filter((token) => token.kind !== "comment");
  if (open) return `${openWords[open] ?? "something is not closed"}. A command ends with its line.`;
  if (/(^|[^\\])(\\\\)*\\$/.test(text) && tokens.at(-1)?.kind !== "comment")
    return "it ends with \\, but a command ends with its line. Put it all on one line.";
  if (code.some((token) => token.kind === "operator" && /(^|[^<])<<-?$/.test(token.text)))
    return "a here-document has no room: a command ends with its line. Put the text into a file of the project.";
  const [head, ...rest] = code.filter((token) => token.text.trim());
  if (head?.kind === "command" && /^(cd|export|source|\.)$/.test(head.text) && !rest.some((token) => token.kind === "operator"))
    return `${head.text} holds for its own line only: each line has a shell of its own. Join them: ${head.text} … && …`;
  return null;
}

/** The lines, with the number of each command as the job's record counts them: blank lines have none (0). */
export function numbered(command: string): { text: string; number: number }[] {
  let number = 0;
  return command.split("\n").map((text) => ({ text, number: text.trim() ? ++number : 0 }));
}

/** Advice on all commands, the first few. */
export function advice(command: string, most = 3): { number: number; text: string }[] {
  const found: { number: number; text: string }[] = [];
  for (const line of numbered(command)) {
    const text = adviceOn(line.text);
    if (text && found.push({ number: line.number, text }) === most) break;
  }
  return found;
}
