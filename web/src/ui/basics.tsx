// The small parts that every page is made of.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { serverNow } from "../api/client";
import type { JobState } from "../api/types";
import { ago, clock, duration, exact } from "../lib/format";
import { reasonWords } from "../lib/reasons";
import { Icon, type IconName } from "./icon";

/** Now, a second at a time; what shows "5 s ago" reads it. */
export const now = signal(serverNow());
window.setInterval(() => {
  if (!document.hidden) now.value = serverNow();
}, 1000);

/** A time as "5 min ago", or of day, with the exact one on hover and for screen readers. */
export function Time({ ms, as = "ago" }: { ms: number | null | undefined; as?: "ago" | "clock" }) {
  if (!ms) return <span class="faint">–</span>;
  return (
    <time dateTime={new Date(ms).toISOString()} title={exact(ms)}>
      {as === "ago" ? ago(ms, now.value) : clock(ms, now.value)}
    </time>
  );
}

/** A span from `from` to `to`, growing while `to` is not known. */
export function Span({ from, to }: { from: number | null | undefined; to: number | null | undefined }) {
  if (!from) return <span class="faint">–</span>;
  return <span class="figure">{duration((to ?? now.value) - from)}</span>;
}

const stateIcons: Record<JobState, IconName> = { pending: "clock", running: "spin", completed: "check", failed: "cross" };

/** A job's state: icon, word, colour; the reason of a failure where there is room. */
export function StateBadge({ status, reason }: { status: JobState; reason?: string | null | undefined }) {
  const text = status === "failed" && reason === "cancelled" ? "cancelled" : status;
  const more = status === "failed" && reason && reason !== "cancelled" ? reasonWords(reason).short : "";
  return (
    <span class={`badge state-${text}`} title={more || undefined}>
      <Icon name={stateIcons[status]} />
      {text}
    </span>
  );
}

interface NoticeProps {
  kind?: "info" | "error" | "warning" | "empty";
  title: string;
  children?: ComponentChildren;
  action?: ComponentChildren;
}

/** A box that says what is, in words: nothing here, an error, a warning. Errors are announced. */
export function Notice({ kind = "info", title, children, action }: NoticeProps) {
  const icon: IconName = kind === "error" ? "cross" : kind === "warning" ? "warning" : "info";
  return (
    <div class={`notice notice-${kind}`} role={kind === "error" ? "alert" : kind === "warning" ? "status" : undefined}>
      <Icon name={icon} />
      <div class="notice-text">
        <strong>{title}</strong>
        {children ? <div>{children}</div> : null}
      </div>
      {action ? <div class="notice-action">{action}</div> : null}
    </div>
  );
}

/** Grey bars while something is on its way. */
export function Skeleton({ lines = 3 }: { lines?: number }) {
  return (
    <div class="skeleton" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, at) => (
        <span key={at} />
      ))}
    </div>
  );
}

/** Copies a text; says so for a moment. Where the clipboard is closed (plain HTTP), by the old way. */
export function CopyButton({ text, label = "Copy", compact = false }: { text: string | (() => string); label?: string; compact?: boolean }) {
  const [state, setState] = useState<"" | "done" | "failed">("");
  useEffect(() => {
    if (!state) return;
    const timer = window.setTimeout(() => setState(""), 1600);
    return () => window.clearTimeout(timer);
  }, [state]);
  const copy = async (): Promise<void> => setState((await copyText(typeof text === "string" ? text : text())) ? "done" : "failed");
  return (
    <button type="button" class={compact ? "button quiet small" : "button small"} onClick={() => void copy()} aria-label={compact ? label : undefined} title={compact ? label : undefined}>
      <Icon name={state === "done" ? "check" : "copy"} />
      {compact ? null : <span>{state === "done" ? "Copied" : state === "failed" ? "Not copied" : label}</span>}
      <span class="hidden" role="status">{state === "done" ? "Copied" : ""}</span>
    </button>
  );
}

/** True when the text is in the clipboard. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.setAttribute("readonly", "");
    area.className = "hidden";
    document.body.append(area);
    area.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the clipboard API is there on secure origins only
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  error?: string | null | undefined;
  id: string;
  children: ComponentChildren;
}

/** A labelled input. The input has the id `id` and, when there is a hint or an error, aria-describedby `${id}-more`. */
export function Field({ label, hint, error, id, children }: FieldProps) {
  return (
    <div class={`field${error ? " field-bad" : ""}`}>
      <label for={id}>{label}</label>
      {children}
      {error ?? hint ? (
        <div id={`${id}-more`} class={error ? "field-error" : "field-hint"} role={error ? "alert" : undefined}>
          {error ?? hint}
        </div>
      ) : null}
    </div>
  );
}
