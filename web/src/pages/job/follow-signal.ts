import type { Signal } from "@preact/signals";

/** Draws the component again when the signal changes, for what grows in place. */
export function useSignalValue(signal: Signal<number> | undefined): number {
  return signal?.value ?? 0;
}
