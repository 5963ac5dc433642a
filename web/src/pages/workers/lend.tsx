// How to lend a PC: the command, what it does, how to stop it.

import { useState } from "preact/hooks";
import { who } from "../../api/session";
import { CopyButton, Field, Notice } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { isLoopback, lendCommand, lendErrors, listenOption, SLOTS_MAX, TOKEN_FILE, type Lending, type LendErrors } from "./lend-command";

const fresh: Lending = { slots: "2", id: "", label: "", host: "" };

interface FormProps {
  lending: Lending;
  errors: LendErrors;
  change: (part: Partial<Lending>) => void;
  askHost: boolean;
}

function Form({ lending, errors, change, askHost }: FormProps) {
  const input = (name: keyof Lending, more: { placeholder?: string; inputMode?: "numeric" } = {}) => (
    <input
      type="text"
      id={`lend-${name}`}
      autocomplete="off"
      spellcheck={false}
      aria-describedby={`lend-${name}-more`}
      aria-invalid={errors[name] ? true : undefined}
      value={lending[name]}
      onInput={(event) => change({ [name]: event.currentTarget.value })}
      {...more}
    />
  );
  return (
    <div class="lend-form">
      {askHost ? (
        <Field id="lend-host" label="This machine&rsquo;s name" hint="Its name or address, as other PCs know it." error={errors.host}>
          {input("host", { placeholder: "lab-server" })}
        </Field>
      ) : null}
      <Field id="lend-slots" label="Slots" hint={`Jobs at once, 1 to ${SLOTS_MAX}.`} error={errors.slots}>
        {input("slots", { inputMode: "numeric" })}
      </Field>
      <Field id="lend-label" label="Labels (optional)" hint="What the PC has, for jobs that require it." error={errors.label}>
        {input("label", { placeholder: "gpu=yes,room=4" })}
      </Field>
      <Field id="lend-id" label="Id (optional)" hint="Without one the worker makes its own and keeps it." error={errors.id}>
        {input("id")}
      </Field>
    </div>
  );
}

/** The page was opened by a name that means another machine everywhere else. */
function LoopbackNotice({ page }: { page: string }) {
  return (
    <Notice kind="warning" title={`This page was opened as ${new URL(page).hostname}, which on another PC means that PC itself.`}>
      On this machine the command is right as it is. For other PCs, this machine&rsquo;s name or address must stand in its place, and the gateway must listen on more than
      loopback: <code>gleaner-gateway {listenOption(page)}</code>
    </Notice>
  );
}

/** A line breaks between options, not within `--`. The text is the command to the letter. */
function Command({ text }: { text: string }) {
  return (
    <pre>
      <code>
        {text.split(/(?<= )(?=--)/).map((part, at) => (
          <span key={at}>{part}</span>
        ))}
      </code>
    </pre>
  );
}

export function LendPanel({ page, onClose }: { page: string; onClose: (() => void) | null }) {
  const [lending, setLending] = useState(fresh);
  const asks = who.value?.required === true;
  const errors = lendErrors(lending);
  const wrong = Object.keys(errors).length > 0;
  const loopback = isLoopback(new URL(page).hostname);
  const command = wrong ? "" : lendCommand(page, lending, asks);
  return (
    <section id="lend" class="panel lend" aria-labelledby="lend-title">
      <div class="lend-head">
        <h2 id="lend-title">Lend this PC</h2>
        {onClose ? (
          <button type="button" class="button quiet small" aria-label="Close: lend this PC" onClick={onClose}>
            <Icon name="cross" />
          </button>
        ) : null}
      </div>
      <p>Run this in a terminal of the PC that is to work for Gleaner:</p>
      <div class="lend-command">
        {wrong ? <p class="faint">The command stands here when the fields below are right.</p> : <Command text={command} />}
        {wrong ? null : <CopyButton text={command} label="Copy" />}
      </div>
      {loopback ? <LoopbackNotice page={page} /> : null}
      <Form lending={lending} errors={errors} change={(part) => setLending({ ...lending, ...part })} askHost={loopback} />
      <dl class="lend-words">
        <div>
          <dt>What it does</dt>
          <dd>It asks this gateway for jobs and runs them, with the rights of the user who starts it: use a user of its own. Nothing has to reach that PC from outside.</dd>
        </div>
        <div>
          <dt>How to stop it</dt>
          <dd>Press <kbd>Ctrl</kbd> <kbd>C</kbd>: jobs that run are let to end. Press it again, and they are given back to run elsewhere.</dd>
        </div>
        {asks ? (
          <div>
            <dt>Token</dt>
            <dd>A worker’s own, from whoever runs the broker, in the file <code>{TOKEN_FILE}</code>, which nobody else on that PC may read.</dd>
          </div>
        ) : (
          <div>
            <dt>Join code</dt>
            <dd>None is needed: this gateway takes everybody who can reach it.</dd>
          </div>
        )}
      </dl>
    </section>
  );
}
