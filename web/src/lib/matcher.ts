// What is searched for, and where a text has it.

/** What is searched for, as an expression; a sentence when it is no expression. */
export function matcher(text: string, asRegex: boolean): RegExp | string {
  const source = asRegex ? text : text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  try {
    return new RegExp(source, "giu");
  } catch {
    try {
      return new RegExp(source, "gi");
    } catch (error) {
      return error instanceof Error ? error.message : "This is no regular expression.";
    }
  }
}

/** From and to, for each place that matches. */
export type Marks = readonly (readonly [number, number])[];

/** Where an expression matches in a text, from and to. */
export function marks(text: string, expression: RegExp, most = 200): Marks {
  const found: [number, number][] = [];
  expression.lastIndex = 0;
  for (const match of text.matchAll(expression)) {
    if (match[0].length > 0) found.push([match.index, match.index + match[0].length]);
    if (found.length >= most) break;
  }
  return found;
}

/** Which of these texts match. */
export function matching(texts: readonly string[], expression: RegExp): number[] {
  const found: number[] = [];
  for (const [at, text] of texts.entries()) {
    expression.lastIndex = 0;
    if (expression.test(text)) found.push(at);
  }
  return found;
}
