import { describe, expect, it } from "vitest";
import { changeTab, closeTab, HISTORY_MAX, JOBS_MAX, jobStarted, newTab, readTabs, renameTab, type Tab } from "../src/lib/tabs";

const three = (): Tab[] => {
  const tabs: Tab[] = [];
  for (let i = 0; i < 3; i++) tabs.push(newTab(tabs));
  return tabs;
};

describe("tabs", () => {
  it("get names that are free", () => {
    const tabs = three();
    expect(tabs.map((tab) => tab.name)).toEqual(["Terminal 1", "Terminal 2", "Terminal 3"]);
    expect(newTab(tabs.slice(1)).name).toBe("Terminal 1");
  });
  it("can be renamed, but not to nothing", () => {
    const tabs = three();
    const id = tabs[1]!.id;
    expect(renameTab(tabs, id, "  lab  ")[1]!.name).toBe("lab");
    expect(renameTab(tabs, id, "   ")[1]!.name).toBe("Terminal 2");
    expect(renameTab(tabs, id, "x".repeat(100))[1]!.name).toHaveLength(40);
  });
  it("show a neighbour when the shown one is closed", () => {
    const tabs = three();
    const [a, b, c] = tabs.map((tab) => tab.id) as [string, string, string];
    expect(closeTab(tabs, b, b).shown).toBe(c);
    expect(closeTab(tabs, c, c).shown).toBe(b);
    expect(closeTab(tabs, b, a).shown).toBe(a);
    expect(closeTab([tabs[0]!], a, a)).toEqual({ tabs: [], shown: "" });
  });
  it("remember a bounded number of jobs and commands, each command once", () => {
    let tab = newTab([]);
    for (let i = 0; i < 300; i++) tab = changeTab([tab], tab.id, jobStarted(tab, `job-${i}`, `echo ${i % 150}`))[0]!;
    expect(tab.jobIds).toHaveLength(JOBS_MAX);
    expect(tab.history).toHaveLength(HISTORY_MAX);
    expect(new Set(tab.history).size).toBe(HISTORY_MAX);
    expect(tab.history.at(-1)).toBe("echo 149");
  });
  it("keep what came while a command was on its way", () => {
    const sent = { ...newTab([]), draft: "make " };
    const typed = changeTab([sent], sent.id, { draft: "make test", jobIds: ["other"] });
    const [now] = changeTab(typed, sent.id, (tab) => jobStarted(tab, "mine", "make"));
    expect(now).toMatchObject({ draft: "make test", jobIds: ["other", "mine"], history: ["make"] });
    expect(changeTab([sent], sent.id, (tab) => jobStarted(tab, "mine", "make"))[0]!.draft).toBe("");
  });
  it("are read from whatever was stored", () => {
    expect(readTabs(null)).toEqual([]);
    expect(readTabs([null, 1, { id: "a" }, ...three()])).toHaveLength(3);
  });
});
