// The current line of the log: the one that keys act on.

import type { Layout } from "./logindex";

/** A line by what it is, so that it stays current when others are folded or come. */
export type Here = { row: number } | { head: string };

export function hereAt(layout: Layout, place: number): Here | null {
  const line = layout.at(place);
  if (!line) return null;
  return "header" in line ? { head: line.header.key } : { row: line.row };
}

/** Where it is on the screen: a folded line where its header is. -1: it is no longer there. */
export function placeOfHere(layout: Layout, here: Here | null): number {
  if (!here) return -1;
  if ("head" in here) return layout.placeOfHeader(here.head);
  return here.row < layout.rows ? layout.placeOf(here.row) : -1;
}

/** The lines that are wholly in sight. */
export interface Sight {
  first: number;
  last: number;
}

export type Move = "up" | "down" | "pageUp" | "pageDown" | "first" | "last";

/** How many lines a page is: one stays in sight. */
export function pageOf({ first, last }: Sight): number {
  return Math.max(1, last - first);
}

/** Where a move leads from `place`. From a line out of sight, or none, it begins at the edge of what is seen. */
export function moved(move: Move, place: number, sight: Sight, length: number): number {
  const inSight = place >= sight.first && place <= sight.last;
  const back = move === "up" || move === "pageUp";
  const from = inSight ? place : back ? sight.last : sight.first;
  const steps: Record<Move, number> = {
    up: inSight ? from - 1 : from,
    down: inSight ? from + 1 : from,
    pageUp: from - pageOf(sight),
    pageDown: from + pageOf(sight),
    first: 0,
    last: length - 1,
  };
  return Math.max(0, Math.min(length - 1, steps[move]));
}

const moves: Record<string, Move> = { ArrowUp: "up", ArrowDown: "down", PageUp: "pageUp", PageDown: "pageDown", Home: "first", End: "last" };

/** True when a key asks to fold the command it is pressed on, or to unfold it. */
export function turnsFold(key: string, folded: boolean): boolean {
  return key === (folded ? "ArrowRight" : "ArrowLeft");
}

/** The move that a key asks for; null: none. */
export function moveOf(key: string): Move | null {
  return moves[key] ?? null;
}
