// Short messages at the edge of the page: something was done, something failed.

import { signal } from "@preact/signals";
import { ApiError } from "../api/client";
import { Icon } from "./icon";

interface Toast {
  id: number;
  kind: "done" | "error";
  text: string;
}

const TOASTS_MAX = 4;
const SHOWN_MS = 6000;
const toasts = signal<Toast[]>([]);
let last = 0;

function drop(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

/** Shows a message for a while; errors, and others that shall, stay until they are closed. */
export function toast(text: string, kind: Toast["kind"] = "done", stays = kind === "error"): void {
  const id = ++last;
  toasts.value = [...toasts.value.slice(-(TOASTS_MAX - 1)), { id, kind, text }];
  if (!stays) window.setTimeout(() => drop(id), SHOWN_MS);
}

/** Does something, and shows what went wrong with it. */
export async function attempt(what: () => Promise<unknown>): Promise<boolean> {
  try {
    await what();
    return true;
  } catch (error) {
    toast(error instanceof ApiError || error instanceof Error ? error.message : String(error), "error");
    return false;
  }
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((one) => (
        <div key={one.id} class={`toast toast-${one.kind}`}>
          <Icon name={one.kind === "done" ? "check" : "warning"} />
          <span>{one.text}</span>
          <button type="button" class="button quiet small" aria-label="Close this message" onClick={() => drop(one.id)}>
            <Icon name="cross" />
          </button>
        </div>
      ))}
    </div>
  );
}
