import { expect, it } from "vitest";
import { added, found, history, HISTORY_MAX, remember } from "../src/lib/history";

it("keeps the last ones, each once", () => {
  let list = added([], "a", 1);
  list = added(list, "b\n", 2);
  list = added(list, "a", 3);
  expect(list).toEqual([{ command: "a", at: 3 }, { command: "b", at: 2 }]);
  expect(added(list, " \n", 4)).toEqual(list);
  for (let at = 0; at < 80; at++) list = added(list, `c${at}`, at);
  expect(list).toHaveLength(HISTORY_MAX);
  expect(list[0]?.command).toBe("c79");
});

it("is searched by words", () => {
  const list = [{ command: "make test\nls", at: 1 }, { command: "Cargo Test", at: 2 }];
  expect(found(list, "test")).toHaveLength(2);
  expect(found(list, "cargo TEST").map((past) => past.at)).toEqual([2]);
  expect(found(list, "ls make").map((past) => past.at)).toEqual([1]);
  expect(found(list, "")).toHaveLength(2);
});

it("survives in the browser", () => {
  remember("make");
  expect(history.value[0]?.command).toBe("make");
  expect(localStorage.getItem("gleaner.run.history")).toContain("make");
});
