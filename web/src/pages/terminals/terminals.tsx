// Named run tabs: type a command, it runs as a job where the tab says, its output comes below. Tabs survive a reload.

import { useState } from "preact/hooks";
import { Notice } from "../../ui/basics";
import { confirm } from "../../ui/dialog";
import { useCommands } from "../../ui/commands";
import { Icon } from "../../ui/icon";
import { changeTab, closeTab, newTab, readTabs, renameTab, TABS_MAX, type Tab } from "../../lib/tabs";
import { stored, storedInTab } from "../../lib/storage";
import { TabView } from "./tab-view";
import "./terminals.css";

const tabs = stored<Tab[]>("tabs", []);
const shown = storedInTab<string>("tab-shown", "");

function open(): void {
  if (readTabs(tabs.value).length >= TABS_MAX) return;
  const tab = newTab(readTabs(tabs.value));
  tabs.value = [...readTabs(tabs.value), tab];
  shown.value = tab.id;
}

async function close(tab: Tab): Promise<void> {
  const text = "Its name and its history of commands go; jobs that it started go on and stay in the list of jobs.";
  if (tab.history.length > 0 && !(await confirm(`Close ${tab.name}?`, text, "Close"))) return;
  const left = closeTab(readTabs(tabs.value), tab.id, shown.value);
  tabs.value = left.tabs;
  shown.value = left.shown;
}

function step(by: number): void {
  const list = readTabs(tabs.value);
  const at = list.findIndex((tab) => tab.id === shown.value);
  const next = list[(at + by + list.length) % Math.max(1, list.length)];
  if (next) shown.value = next.id;
}

function RenameField({ tab, done }: { tab: Tab; done: () => void }) {
  const save = (name: string): void => {
    tabs.value = renameTab(readTabs(tabs.value), tab.id, name);
    done();
  };
  return (
    <input
      class="tab-rename"
      type="text"
      aria-label={`New name for ${tab.name}`}
      maxLength={40}
      defaultValue={tab.name}
      ref={(input) => {
        if (input && document.activeElement !== input) input.select();
      }}
      onBlur={(event) => save(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") save(event.currentTarget.value);
        if (event.key === "Escape") done();
        event.stopPropagation();
      }}
    />
  );
}

function TabBar({ list, here }: { list: Tab[]; here: string }) {
  const [renaming, setRenaming] = useState("");
  const key = (event: KeyboardEvent, tab: Tab): void => {
    if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "F2") setRenaming(tab.id);
    else if (event.key === "Delete") void close(tab);
    else return;
    event.preventDefault();
    window.setTimeout(() => document.getElementById(`tab-${shown.value}`)?.focus(), 0);
  };
  const current = list.find((tab) => tab.id === here);
  return (
    <div class="tab-bar">
      <div class="tab-list" role="tablist" aria-label="Terminals">
        {list.map((tab) => (
          <button
            key={tab.id}
            type="button"
            role="tab"
            id={`tab-${tab.id}`}
            class="tab"
            aria-selected={tab.id === here}
            aria-controls="tab-panel"
            tabIndex={tab.id === here ? 0 : -1}
            onClick={() => (shown.value = tab.id)}
            onDblClick={() => setRenaming(tab.id)}
            onKeyDown={(event) => key(event, tab)}
          >
            {tab.name}
          </button>
        ))}
      </div>
      <button type="button" class="button quiet small" aria-label="New terminal" title="New terminal" disabled={list.length >= TABS_MAX} onClick={open}>
        <Icon name="plus" />
      </button>
      <span class="tab-space" />
      {current && renaming === current.id ? <RenameField tab={current} done={() => setRenaming("")} /> : null}
      {current && renaming !== current.id ? (
        <>
          <button type="button" class="button quiet small" aria-label={`Rename ${current.name}`} onClick={() => setRenaming(current.id)}>
            <Icon name="edit" /> <span>Rename</span>
          </button>
          <button type="button" class="button quiet small" aria-label={`Close ${current.name}`} onClick={() => void close(current)}>
            <Icon name="cross" /> <span>Close</span>
          </button>
        </>
      ) : null}
    </div>
  );
}

export default function Terminals() {
  const list = readTabs(tabs.value);
  const current = list.find((tab) => tab.id === shown.value) ?? list[0];
  useCommands([
    { id: "tab-new", title: "New terminal", keys: "n", group: "Terminals", run: open },
    { id: "tab-next", title: "Next terminal", keys: "]", group: "Terminals", run: () => step(1) },
    { id: "tab-before", title: "Terminal before", keys: "[", group: "Terminals", run: () => step(-1) },
    { id: "tab-prompt", title: "To the prompt", keys: "/", group: "Terminals", run: () => document.getElementById("prompt")?.focus() },
  ]);
  return (
    <>
      <div class="page-head">
        <h1>Terminals</h1>
      </div>
      {current ? (
        <>
          <TabBar list={list} here={current.id} />
          <div id="tab-panel" role="tabpanel" aria-labelledby={`tab-${current.id}`} class="tab-panel">
            <TabView key={current.id} tab={current} change={(change) => (tabs.value = changeTab(readTabs(tabs.value), current.id, change))} />
          </div>
        </>
      ) : (
        <Notice kind="empty" title="No terminal is open." action={<button type="button" class="button primary" onClick={open}>New terminal</button>}>
          A terminal shows the output of one command after another, run on any worker or always on the same one, and keeps its name, its
          project and its output when you come back.
        </Notice>
      )}
    </>
  );
}
