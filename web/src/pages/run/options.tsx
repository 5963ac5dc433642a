// Everything that may be asked for beside the commands, folded away.

import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { duration } from "../../lib/format";
import { Field } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { change, draft, optionNames, optionsSet, type Draft, type Errors } from "./draft";
import { Bad, readSpan } from "./lines";

type TextName = { [K in keyof Draft]: Draft[K] extends boolean ? never : K }[keyof Draft];

interface OptionProps {
  name: Exclude<TextName, "command" | "mode">;
  label: string;
  hint: ComponentChildren;
  errors: Errors;
  placeholder?: string;
  numeric?: boolean;
  /** Lines; 0: one line only. */
  rows?: number;
}

function Option({ name, label, hint, errors, placeholder, numeric = false, rows = 0 }: OptionProps) {
  const id = `run-${name}`;
  const shared = {
    id,
    value: draft.value[name],
    placeholder,
    spellcheck: false,
    autocomplete: "off",
    "aria-invalid": errors[name] ? true : undefined,
    "aria-describedby": `${id}-more`,
  } as const;
  return (
    <Field id={id} label={label} hint={hint} error={errors[name]}>
      {rows ? (
        <textarea {...shared} rows={rows} onInput={(event) => change({ [name]: event.currentTarget.value })} />
      ) : (
        <input {...shared} type="text" inputMode={numeric ? "numeric" : undefined} onInput={(event) => change({ [name]: event.currentTarget.value })} />
      )}
    </Field>
  );
}

/** How a typed time is understood. */
function understood(text: string, otherwise: string): string {
  try {
    const ms = readSpan(text, 0, Number.MAX_SAFE_INTEGER, "");
    return ms === undefined ? otherwise : `That is ${duration(ms)}.`;
  } catch (error) {
    if (error instanceof Bad) return otherwise;
    throw error;
  }
}

function Fields({ errors }: { errors: Errors }) {
  const { timeout, retryPause, delay, goOn } = draft.value;
  return (
    <div class="options-body">
      <div class="options-grid">
        <Option name="name" label="Name" hint="For people; else it goes by its first command." errors={errors} />
        <Option name="timeout" label="Timeout" hint={understood(timeout, "How long it may run, as 90 s or 2 h. Default 1 hour.")} errors={errors} placeholder="1 h" />
        <Option name="delay" label="Start delay" hint={understood(delay, "Not before this time from now. Default none.")} errors={errors} placeholder="0 s" />
        <Option name="priority" label="Priority" hint="−1000 to 1000; a higher one goes first. Default 0." errors={errors} placeholder="0" />
        <Option name="attempts" label="Attempts" hint="How often it may be started. Default 3; 1: at most once." errors={errors} placeholder="3" numeric />
        <Option name="retryOn" label="Try again on exit codes" hint="As 75, 137, or “any”. Default: a failed command is final." errors={errors} placeholder="none" />
        <Option name="retryPause" label="Pause before a second attempt" hint={understood(retryPause, "Doubled with each further one.")} errors={errors} placeholder="1 s" />
      </div>
      <label class="check">
        <input type="checkbox" checked={goOn} onChange={(event) => change({ goOn: event.currentTarget.checked })} />
        <span>Go on after a command that failed</span>
      </label>
      <div class="options-grid options-wide">
        <Option name="env" label="Environment" hint="KEY=VALUE, one a line. Kept in this tab and in the job’s record: no place for secrets." errors={errors} placeholder={"CC=clang"} rows={3} />
        <Option name="artifacts" label="Artifacts to keep" hint="Patterns of files that come back, one a line; ** goes through folders." errors={errors} placeholder={"dist/**\n*.log"} rows={3} />
        <Option name="requires" label="Worker must have" hint="Labels of the worker, KEY=VALUE, one a line." errors={errors} placeholder="gpu=yes" rows={2} />
        <Option name="labels" label="Labels of the job" hint="To find it by, KEY=VALUE, one a line." errors={errors} placeholder="branch=main" rows={2} />
      </div>
    </div>
  );
}

export function Options({ errors }: { errors: Errors }) {
  const fold = useRef<HTMLDetailsElement>(null);
  const set = optionsSet(draft.value);
  const wrong = optionNames.some((name) => errors[name]);
  useEffect(() => {
    if (wrong && fold.current) fold.current.open = true;
  }, [wrong]);
  return (
    <details ref={fold} class="panel options">
      <summary>
        <Icon name="right" />
        <span class="options-title">Options</span>
        <span class="faint">{set ? `${set} set` : "name, timeout, retries, environment, artifacts, …"}</span>
      </summary>
      <Fields errors={errors} />
    </details>
  );
}
