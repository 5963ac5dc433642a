// The commands: a textarea with its text drawn in colours by the layer behind it, and the number of each command.

import { useMemo } from "preact/hooks";
import { advice, numbered, tokenize } from "../../lib/shell";

/** One line. It is drawn anew only when it changes: there may be two thousand of them. */
function Line({ text, number }: { text: string; number: number }) {
  return useMemo(
    () => (
      <div class="code-line" data-number={number || undefined}>
        {tokenize(text).tokens.map((token, at) =>
          token.kind === "plain" ? token.text : (
            <span key={at} class={`code-${token.kind}`}>
              {token.text}
            </span>
          ),
        )}
        {text ? null : "\u200b"}
      </div>
    ),
    [text, number],
  );
}

interface EditorProps {
  /** Its heading has the id `${id}-title`. */
  id: string;
  value: string;
  error: string | undefined;
  onChange: (value: string) => void;
}

export function Editor({ id, value, error, onChange }: EditorProps) {
  const lines = useMemo(() => numbered(value), [value]);
  const hints = useMemo(() => advice(value), [value]);
  return (
    <>
      <div class={`editor${error ? " editor-bad" : ""}`}>
        <div class="editor-inside">
          <div class="editor-layer" aria-hidden="true">
            {lines.map((line, at) => (
              <Line key={at} {...line} />
            ))}
          </div>
          <textarea
            id={id}
            aria-labelledby={`${id}-title`}
            value={value}
            rows={1}
            spellcheck={false}
            autocomplete="off"
            autocapitalize="off"
            placeholder={"make\nmake test"}
            aria-invalid={error ? true : undefined}
            aria-describedby={`${id}-more ${id}-advice`}
            onInput={(event) => onChange(event.currentTarget.value)}
          />
        </div>
      </div>
      {error ? (
        <div id={`${id}-more`} class="field-error" role="alert">
          {error}
        </div>
      ) : (
        <div id={`${id}-more`} class="field-hint">
          One command a line, each in a shell of its own, in the project’s folder. The first that fails ends the job.
        </div>
      )}
      <ul id={`${id}-advice`} class="editor-advice" aria-live="polite">
        {hints.map((hint) => (
          <li key={hint.number}>
            Command {hint.number}: {hint.text}
          </li>
        ))}
      </ul>
    </>
  );
}
