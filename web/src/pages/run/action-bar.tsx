// The one primary button, and in its place, while something is sent, how far that is.

import { useRef } from "preact/hooks";
import { bytes, duration } from "../../lib/format";
import { canNotify } from "../../lib/watch";
import { Notice, now } from "../../ui/basics";
import { Icon } from "../../ui/icon";
import { notifyMe } from "./draft";
import { amount, cancel, progress, retryNow, type Progress, type Refusal } from "./submit";

function left({ sent, waiting }: Progress): string {
  if (waiting || sent.speed <= 0 || sent.sent >= sent.bytes) return "";
  return ` · ${bytes(sent.speed)}/s · ${duration(Math.max(1000, ((sent.bytes - sent.sent) / sent.speed) * 1000))} left`;
}

function words(at: Progress): string {
  if (at.step === "pack") return "Waiting for the folder to be zipped…";
  if (at.step === "create") return "Creating the job…";
  return at.sent.sent < at.sent.bytes ? `${amount(at.sent)}${left(at)}` : "Sent. The server checks it…";
}

/** Said aloud: every tenth, and when it stands still. */
function spoken(at: Progress): string {
  if (at.waiting) return "Waiting for the connection";
  if (at.step !== "send") return words(at);
  return `Sending ${at.name}, ${Math.floor((at.sent.sent / Math.max(1, at.sent.bytes)) * 10) * 10} percent`;
}

function Wait({ at }: { at: Progress }) {
  if (!at.waiting) return null;
  // `now` makes this be drawn anew every second.
  const seconds = now.value ? Math.max(0, Math.ceil((at.waiting.until - performance.now()) / 1000)) : 0;
  return (
    <p class="send-wait">
      <Icon name="warning" />
      <span>
        <strong>Waiting for the connection…</strong> It goes on by itself{at.step === "send" ? ` from ${bytes(at.sent.sent)}` : ""}; next try {seconds ? `in ${seconds} s` : "now"}.
        <span class="faint"> {at.waiting.why}</span>
      </span>
    </p>
  );
}

const DOUBLE_MS = 600; // the second click of a double one on Run comes where Cancel is by then

function Sending({ at }: { at: Progress }) {
  const begun = useRef(performance.now());
  const cancelMeant = (): void => {
    if (performance.now() - begun.current > DOUBLE_MS) cancel();
  };
  const share = at.sent.bytes ? at.sent.sent / at.sent.bytes : 0;
  return (
    <div class="send">
      <div class="send-head">
        <strong>{at.step === "send" ? `Sending ${at.name}` : words(at)}</strong>
        <span class="figure faint">{at.step === "send" ? words(at) : ""}</span>
      </div>
      {at.step === "send" ? (
        <progress class={`bar${at.waiting ? " bar-waiting" : ""}`} aria-label={`Sending ${at.name}`} value={share} max={1} />
      ) : (
        <progress class="bar" aria-label={words(at)} />
      )}
      <Wait at={at} />
      <div class="send-buttons">
        {at.waiting ? (
          <button type="button" class="button small" onClick={retryNow}>
            <Icon name="again" /> Retry now
          </button>
        ) : null}
        <button type="button" class="button small" onClick={cancelMeant}>
          Cancel
        </button>
      </div>
      <span class="hidden" role="status">
        {spoken(at)}
      </span>
    </div>
  );
}

/** Browsers ask for leave only while the user presses something. */
function askLeave(on: boolean): void {
  notifyMe.value = on;
  if (!on || typeof Notification === "undefined" || Notification.permission !== "default") return;
  void Notification.requestPermission().then((said) => (canNotify.value = said !== "denied"));
}

interface BarProps {
  refusal: Refusal | null;
  onRun: () => void;
}

export function ActionBar({ refusal, onRun }: BarProps) {
  const at = progress.value;
  return (
    <div class="run-bar">
      {refusal && !at ? (
        <Notice kind="error" title={refusal.title}>
          {refusal.text}
        </Notice>
      ) : null}
      {at ? (
        <Sending at={at} />
      ) : (
        <div class="run-bar-row">
          <button type="button" class="button primary run-button" onClick={onRun} aria-keyshortcuts="Control+Enter">
            <Icon name="run" /> Run
          </button>
          <span class="run-keys faint">
            <kbd>Ctrl</kbd> <kbd>Enter</kbd>
          </span>
          <label class="check" title={canNotify.value ? undefined : "This browser does not allow this page to notify."}>
            <input type="checkbox" checked={notifyMe.value && canNotify.value} disabled={!canNotify.value} onChange={(event) => askLeave(event.currentTarget.checked)} />
            <span>{canNotify.value ? "Notify me when it ends" : "Notifications are blocked in this browser"}</span>
          </label>
        </div>
      )}
    </div>
  );
}
