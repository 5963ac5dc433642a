// The Workers page: who lends a PC, what each is doing, and how to lend one more.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { getActivity } from "../../api/calls";
import type { ApiError } from "../../api/client";
import type { Worker } from "../../api/types";
import { usePolled } from "../../api/use";
import { count, plural } from "../../lib/format";
import { stored } from "../../lib/storage";
import { route, setQuery } from "../../router";
import { Notice, Skeleton, Time } from "../../ui/basics";
import { useCommands } from "../../ui/commands";
import { Icon } from "../../ui/icon";
import { Filters } from "./filters";
import { LendPanel } from "./lend";
import { Cards, Table, type Activity } from "./list";
import { countWorkers, filterWorkers, sortWorkers, wantedOf } from "./model";
import { useWorkers } from "./use-workers";
import "./workers.css";

const ACTIVITY_MS = 60_000;
const FIRST_SHOWN = 60;
const MORE_SHOWN = 240;

const view = stored<"cards" | "table">("workers.view", "cards");

function useActivity(): { activity: Activity | null; error: ApiError | null } {
  const { data, error } = usePolled("activity", ACTIVITY_MS, (signal) => getActivity({ signal }));
  const activity = useMemo(
    () => data && { stepMs: data.stepMs, until: data.until, byId: new Map(data.workers.map((one) => [one.workerId, one.activity])) },
    [data],
  );
  return { activity, error };
}

/** Why there are no strips, where the reason is not that everything is away. */
function ActivityWords({ error }: { error: ApiError }) {
  if (error.passes) return null;
  return (
    <p class="faint workers-note">
      {error.status === 404 ? "The last 24 hours are not shown: this gateway or its broker is older and does not keep them." : `The last 24 hours are not shown: ${error.message}`}
    </p>
  );
}

interface ShownProps {
  workers: readonly Worker[];
  activity: Activity | null;
  refresh: () => void;
  /** What was asked for; another one begins at the top again. */
  asked: string;
}

/** The first workers, more on demand. */
function Shown({ workers, activity, refresh, asked }: ShownProps) {
  const [most, setMost] = useState(FIRST_SHOWN);
  useEffect(() => setMost(FIRST_SHOWN), [asked]);
  const shown = workers.slice(0, most);
  const List = view.value === "table" ? Table : Cards;
  const left = workers.length - shown.length;
  return (
    <section class="workers-list" aria-labelledby="workers-list-title">
      <h2 id="workers-list-title" class="hidden">
        {plural(workers.length, "worker")} shown
      </h2>
      <List workers={shown} activity={activity} changed={refresh} />
      {left > 0 ? (
        <div class="workers-more">
          <button type="button" class="button" onClick={() => setMost(most + MORE_SHOWN)}>
            Show {count(Math.min(left, MORE_SHOWN))} more
          </button>
          <span class="faint figure">
            {count(shown.length)} of {count(workers.length)}
          </span>
        </div>
      ) : null}
    </section>
  );
}

function ListError({ error, refresh, since }: { error: ApiError; refresh: () => void; since: number | null }) {
  if (since)
    return (
      <p class="workers-note workers-stale" role="status">
        <Icon name="warning" />
        <span>
          As it was <Time ms={since} />. {error.message}
        </span>
      </p>
    );
  return (
    <Notice kind="error" title="The workers cannot be listed." action={<button type="button" class="button" onClick={refresh}>Try again</button>}>
      {error.message}
      {error.passes && error.status !== 0 ? " It is tried again by itself." : ""}
    </Notice>
  );
}

/** When the list was last read. */
function useReadAt(data: unknown): number | null {
  const read = useRef<{ data: unknown; at: number | null }>({ data: null, at: null });
  if (data !== read.current.data) read.current = { data, at: data ? Date.now() : null };
  return read.current.at;
}

export default function Workers() {
  const { data, error, refresh } = useWorkers();
  const { activity, error: activityError } = useActivity();
  const readAt = useReadAt(data);
  const [lending, setLending] = useState(false);
  const filter = useRef<HTMLInputElement>(null);
  const { query } = route.value;
  const wanted = wantedOf(query.get("state"));
  const text = query.get("text") ?? "";
  const sorted = useMemo(() => sortWorkers(data?.workers ?? []), [data]);
  const counts = useMemo(() => countWorkers(sorted), [sorted]);
  const found = useMemo(() => filterWorkers(sorted, wanted, text), [sorted, wanted, text]);
  const none = data !== null && sorted.length === 0;
  useEffect(() => {
    if (none) setLending(true); // and it stays when the first one comes
  }, [none]);
  const toggleView = (): void => {
    view.value = view.value === "table" ? "cards" : "table";
  };
  useCommands([
    { id: "workers-filter", title: "Filter the workers", keys: "/", group: "Workers", run: () => filter.current?.focus() },
    { id: "workers-view", title: "Workers as cards or as a table", keys: "v", group: "Workers", run: toggleView },
    { id: "workers-lend", title: "Lend this PC", keys: "l", group: "Workers", run: () => setLending(true) },
  ]);
  return (
    <>
      <div class="page-head">
        <h1>Workers</h1>
        {none ? null : (
          <button type="button" class="button" aria-expanded={lending} aria-controls={lending ? "lend" : undefined} onClick={() => setLending(!lending)}>
            <Icon name="plus" />
            Lend this PC
          </button>
        )}
      </div>
      {lending || none ? <LendPanel page={document.baseURI} onClose={none ? null : () => setLending(false)} /> : null}
      {error ? <ListError error={error} refresh={refresh} since={readAt} /> : null}
      {!data && !error ? <Skeleton lines={6} /> : null}
      {none ? <Notice kind="empty" title="No worker yet.">Jobs wait until a PC is lent. It shows up here by itself.</Notice> : null}
      {sorted.length > 0 ? (
        <>
          <Filters input={filter} counts={counts} wanted={wanted} text={text} found={found.length} view={view.value} setView={(to) => (view.value = to)} />
          {activityError && !activity ? <ActivityWords error={activityError} /> : null}
          {found.length > 0 ? (
            <Shown workers={found} activity={activity} refresh={refresh} asked={`${wanted} ${text}`} />
          ) : (
            <Notice kind="empty" title="No worker is like that." action={<button type="button" class="button" onClick={() => setQuery({})}>Show all</button>}>
              {count(sorted.length)} are there.
            </Notice>
          )}
        </>
      ) : null}
    </>
  );
}
