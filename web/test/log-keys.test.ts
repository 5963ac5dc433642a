// The current line of the log: where keys lead, and that it stays with its line.

import { describe, expect, it } from "vitest";
import { Blocks, STDOUT } from "../src/lib/logblocks";
import { hereAt, moved, moveOf, placeOfHere, turnsFold, type Sight } from "../src/lib/logcursor";
import { Layout, Part, sectionsOf } from "../src/lib/logindex";

function layoutOf(rows: readonly number[], folded: readonly number[] = []): Layout {
  const blocks = new Blocks();
  rows.forEach((count, at) => blocks.push(STDOUT, count * 2, count, false, 0, at + 1));
  const part = new Part(blocks, [STDOUT]);
  part.sync();
  return new Layout(sectionsOf([{ name: "main", part, headed: true }]), (section) => folded.includes(section.command));
}

const sight: Sight = { first: 100, last: 119 };

describe("the current line", () => {
  it("is moved by a line, by a page of which one line stays, and to the ends", () => {
    const to = (key: string, place: number): number => moved(moveOf(key)!, place, sight, 1000);
    expect([to("ArrowDown", 110), to("ArrowUp", 110), to("ArrowDown", 119)]).toEqual([111, 109, 120]);
    expect([to("PageDown", 110), to("PageUp", 110)]).toEqual([129, 91]);
    expect([to("Home", 110), to("End", 110)]).toEqual([0, 999]);
    expect(moveOf("x")).toBeNull();
  });
  it("on a command unfolds it to the right and folds it to the left", () => {
    expect([turnsFold("ArrowRight", true), turnsFold("ArrowLeft", true)]).toEqual([true, false]);
    expect([turnsFold("ArrowRight", false), turnsFold("ArrowLeft", false), turnsFold("Enter", true)]).toEqual([false, true, false]);
  });
  it("begins at the edge of what is seen when it is out of sight", () => {
    expect(moved("down", -1, sight, 1000)).toBe(100);
    expect(moved("down", 900, sight, 1000)).toBe(100);
    expect(moved("up", 5, sight, 1000)).toBe(119);
    expect(moved("pageDown", -1, sight, 1000)).toBe(119);
  });
  it("stays within the lines", () => {
    const all: Sight = { first: 0, last: 2 };
    expect([moved("up", 0, all, 3), moved("down", 2, all, 3), moved("pageDown", 1, all, 3), moved("pageUp", 1, all, 3)]).toEqual([0, 2, 2, 0]);
  });
  it("stays with its line when others are folded, and is at the head when its own are", () => {
    const open = layoutOf([3, 4]);
    expect([open.at(4), open.placeOfHeader("main2")]).toEqual([{ header: open.sections[1] }, 4]);
    const row = hereAt(open, 6)!;
    const head = hereAt(open, 4)!;
    expect([placeOfHere(open, row), placeOfHere(open, head)]).toEqual([6, 4]);
    const first = layoutOf([3, 4], [1]);
    expect([placeOfHere(first, row), placeOfHere(first, head)]).toEqual([3, 1]);
    const second = layoutOf([3, 4], [2]);
    expect([placeOfHere(second, row), placeOfHere(second, head)]).toEqual([4, 4]);
  });
  it("is none where there is no such line", () => {
    const layout = layoutOf([1]);
    expect([placeOfHere(layout, null), placeOfHere(layout, { row: 5 }), placeOfHere(layout, { head: "main7" }), hereAt(layout, 9)]).toEqual([-1, -1, -1, null]);
  });
});
