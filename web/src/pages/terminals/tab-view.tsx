// One tab: where it runs, with which files, its output, its prompt.

import { useEffect, useRef, useState } from "preact/hooks";
import { createJob, getInfo, listWorkers, randomId } from "../../api/calls";
import { usePolled } from "../../api/use";
import type { JobRequest } from "../../api/types";
import { dark } from "../../lib/theme";
import { jobStarted, type Change, type Tab, type Target } from "../../lib/tabs";
import type { TerminalView } from "../../lib/xterm";
import { Icon } from "../../ui/icon";
import { attempt } from "../../ui/toast";
import { behind, Chain } from "./chain";
import { NowBar } from "./now-bar";
import { ProjectPicker } from "./project";
import { showJob } from "./replay";
import { emptyProject } from "./upload";

interface TabProps {
  tab: Tab;
  change: (change: Change) => void;
}

const WORKERS_MS = 10_000;

function TargetPicker({ tab, change }: TabProps) {
  const workers = usePolled("workers", WORKERS_MS, (signal) => listWorkers({ signal }));
  const value = tab.target.kind === "worker" ? `worker ${tab.target.workerId}` : tab.target.kind;
  const known = workers.data?.workers ?? [];
  const gone = tab.target.kind === "worker" && !known.some((one) => tab.target.kind === "worker" && one.workerId === tab.target.workerId);
  const choose = (text: string): void => {
    const target: Target = text.startsWith("worker ") ? { kind: "worker", workerId: text.slice(7) } : { kind: text === "direct" ? "direct" : "any" };
    change({ target });
  };
  return (
    <label class="tab-target">
      <span>Runs on</span>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="any">any worker</option>
        <option value="direct">the gateway's own machine</option>
        {gone ? <option value={value}>{value.slice(7)} (not there)</option> : null}
        {known.map((worker) => (
          <option key={worker.workerId} value={`worker ${worker.workerId}`}>
            {worker.hostname} · {worker.workerId} · {worker.status}
          </option>
        ))}
      </select>
    </label>
  );
}

async function submit(tab: Tab, command: string, waits: (waiting: unknown) => void, signal: AbortSignal): Promise<string> {
  const project = tab.project ?? (await emptyProject(waits, signal));
  const request: JobRequest = { ...project, command, maxAttempts: 1 };
  if (tab.target.kind === "worker") request.requires = { worker: tab.target.workerId };
  if (tab.target.kind === "direct") {
    const machine = (await getInfo()).gateway?.machine;
    if (!machine) throw new Error("This gateway does not say which machine it is on; choose a worker instead.");
    request.machine = machine;
  }
  return (await createJob(request, randomId())).jobId;
}

/** The tab's output in a terminal, its jobs one after the other. `shown`: which one it is now. */
function Output({ tab, shown }: { tab: Tab; shown: (jobId: string | null) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<TerminalView | null>(null);
  const chain = useRef<Chain | null>(null);
  const [ready, setReady] = useState(false);
  const [failed, setFailed] = useState(false);
  const first = useRef(tab.jobIds);
  const tell = useRef(shown);
  tell.current = shown;
  const isDark = dark.value;
  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    const open = (module: typeof import("../../lib/xterm")): void => {
      if (signal.aborted || !host.current) return;
      const { terminal } = (view.current = module.openTerminal(host.current, dark.value));
      chain.current = new Chain((jobId, stays) => showJob(jobId, terminal, signal, stays), (jobId) => signal.aborted || tell.current(jobId));
      setReady(true);
    };
    // Its file is gone when the gateway has another version by now.
    void import("../../lib/xterm").then(open).catch(() => setFailed(true));
    return () => {
      chain.current?.stop();
      abort.abort();
      view.current?.destroy();
      view.current = null;
    };
  }, []);
  useEffect(() => view.current?.setDark(isDark), [isDark, ready]);
  const list = tab.jobIds.join(" ");
  useEffect(() => chain.current?.add(list ? list.split(" ") : []), [ready, list]);
  return (
    <div class="tab-output">
      <div ref={host} class="terminal-host" role="region" aria-label={`Output of ${tab.name}`} />
      {failed ? <p class="tab-hint" role="alert">The terminal could not be loaded. Reload the page; what runs goes on.</p> : null}
      {!failed && tab.jobIds.length === 0 && first.current.length === 0 ? <p class="tab-hint">Type a command below. It runs as a job, and its output comes here.</p> : null}
    </div>
  );
}

function Prompt({ tab, change }: TabProps) {
  const [busy, setBusy] = useState(false);
  const [waits, setWaits] = useState(false);
  const [back, setBack] = useState(0); // steps back in the history
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const run = async (): Promise<void> => {
    const command = tab.draft.trim();
    if (!command || busy) return;
    const { signal } = abort.current;
    setBusy(true);
    await attempt(async () => {
      const jobId = await submit(tab, command, (waiting) => setWaits(waiting !== null), signal).catch((error: unknown) => {
        if (signal.aborted) return null; // the command stays in the prompt
        throw error;
      });
      if (jobId === null) return;
      change((now) => jobStarted(now, jobId, command)); // another browser's tab may have changed it meanwhile
      setBack(0);
    });
    setBusy(false);
    setWaits(false);
  };
  const recall = (steps: number): void => {
    if (steps < 0 || steps > tab.history.length) return;
    setBack(steps);
    change({ draft: steps ? (tab.history.at(-steps) ?? "") : "" });
  };
  return (
    <form
      class="prompt"
      onSubmit={(event) => {
        event.preventDefault();
        void run();
      }}
    >
      <span class="prompt-sign" aria-hidden="true">
        $
      </span>
      <input
        id="prompt"
        type="text"
        aria-label="Command"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        placeholder="a command, Enter runs it"
        value={tab.draft}
        onInput={(event) => change({ draft: event.currentTarget.value })}
        onKeyDown={(event) => {
          if (event.key === "ArrowUp") recall(back + 1);
          else if (event.key === "ArrowDown") recall(back - 1);
          else if (event.key === "Escape") event.currentTarget.blur();
          else return;
          event.preventDefault();
        }}
      />
      <button type="submit" class="button primary" disabled={busy || !tab.draft.trim()}>
        <Icon name="run" /> Run
      </button>
      <span class="tab-waits" role="status">{waits ? "Waiting for the connection…" : ""}</span>
    </form>
  );
}

export function TabView({ tab, change }: TabProps) {
  const [shown, setShown] = useState<string | null>(null);
  const now = shown ?? tab.jobIds.at(-1);
  return (
    <>
      <div class="tab-head">
        <TargetPicker tab={tab} change={change} />
        <ProjectPicker project={tab.project} choose={(project) => change({ project })} />
      </div>
      <Output tab={tab} shown={setShown} />
      {now ? <NowBar key={now} jobId={now} behind={behind(tab.jobIds, now)} /> : null}
      <Prompt tab={tab} change={change} />
    </>
  );
}
