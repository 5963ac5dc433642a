import { afterEach, describe, expect, it, vi } from "vitest";
import { addCommands, pressKey, type Command } from "../src/ui/commands";
import { matching } from "../src/ui/palette";

const run = vi.fn<(what: string) => void>();
const list: Command[] = [
  { id: "a", title: "Go to Jobs", keys: "g j", group: "g", run: () => run("jobs") },
  { id: "b", title: "Search", keys: "/", group: "g", run: () => run("search") },
  { id: "c", title: "Commands", keys: "Ctrl K", group: "g", run: () => run("palette") },
];

function press(key: string, more: KeyboardEventInit = {}, target: EventTarget = document.body): void {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  Object.defineProperty(event, "target", { value: target });
  pressKey(event);
}

afterEach(() => run.mockClear());

describe("keys", () => {
  it("run commands, alone and one after the other", () => {
    const remove = addCommands(list);
    press("j");
    expect(run).not.toHaveBeenCalled();
    press("g");
    press("j");
    expect(run).toHaveBeenLastCalledWith("jobs");
    press("/");
    expect(run).toHaveBeenLastCalledWith("search");
    remove();
    press("/");
    expect(run).toHaveBeenCalledTimes(2);
  });
  it("typed into a field stay there, but for the palette's", () => {
    const remove = addCommands(list);
    const input = document.createElement("input");
    press("/", {}, input);
    expect(run).not.toHaveBeenCalled();
    press("k", { ctrlKey: true }, input);
    expect(run).toHaveBeenLastCalledWith("palette");
    remove();
  });
  it("that are only listed are left to what has the focus", () => {
    const remove = addCommands([...list, { id: "listed", title: "Choose a line", keys: "/", group: "g" }]);
    press("/");
    expect(run).toHaveBeenLastCalledWith("search");
    const event = new KeyboardEvent("keydown", { key: "Enter", cancelable: true });
    const more = addCommands([{ id: "enter", title: "Fold", keys: "Enter", group: "g" }]);
    pressKey(event);
    expect(event.defaultPrevented).toBe(false);
    more();
    remove();
  });
});

describe("the palette", () => {
  it("finds by words in any order", () => {
    expect(matching(list, "jobs go").map((command) => command.id)).toEqual(["a"]);
    expect(matching(list, "")).toHaveLength(3);
    expect(matching(list, "nothing")).toEqual([]);
  });
  it("opens a job by its id", () => {
    expect(matching(list, " job-1705329400000-abc123xyz ")[0]!.title).toBe("Open job-1705329400000-abc123xyz");
  });
});
