// The login: a page of its own while nobody has logged in, and over the page when a login has run out in the middle of
// something. Then all stays as it was behind it, and goes on afterwards.

import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { login, who } from "../api/session";
import { useModal } from "./dialog";
import "./login.css";

const words = (error: unknown): string => (error instanceof ApiError || error instanceof Error ? error.message : String(error));

function Form({ again }: { again: boolean }) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const enter = async (): Promise<void> => {
    const token = field.current?.value.trim() ?? "";
    setBusy(true);
    setProblem(token ? "" : "Paste the token first.");
    try {
      if (token) await login(token);
    } catch (error) {
      setProblem(words(error));
    }
    setBusy(false);
    field.current?.select();
    field.current?.focus();
  };
  const name = who.value?.name;
  return (
    <form
      class="login-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) void enter();
      }}
    >
      <img src="./icon.idle.svg" alt="" width="40" height="40" />
      <h1 id="login-title">{again ? "Log in again" : "Log in to Gleaner"}</h1>
      <p class="login-why">
        {again
          ? `The login${name ? ` of ${name}` : ""} is over. What you typed is still there; after this the page goes on where it was.`
          : "Paste the token that you were given. Whoever runs the broker can make you one."}
      </p>
      <div class={`field${problem ? " field-bad" : ""}`}>
        <label>
          Token
          <input ref={field} type="password" autocomplete="current-password" spellcheck={false} aria-invalid={problem !== ""} aria-describedby="login-problem" />
        </label>
        <p id="login-problem" class="field-error" role="alert">{problem}</p>
      </div>
      <button type="submit" class="button primary" aria-disabled={busy}>
        {busy ? "Logging in …" : "Log in"}
      </button>
    </form>
  );
}

/** All that is there for nobody. */
export function LoginPage() {
  return (
    <main class="login-page">
      <Form again={false} />
    </main>
  );
}

/** Over the page, which can do nothing until it is gone. */
export function LoginDialog() {
  const element = useModal();
  return (
    // Browsers close a dialog at the second Escape, whatever a page says to that.
    <dialog ref={element} class="dialog login-dialog" aria-labelledby="login-title" onCancel={(event) => event.preventDefault()} onClose={() => element.current?.isConnected && element.current.showModal()}>
      <Form again />
    </dialog>
  );
}
