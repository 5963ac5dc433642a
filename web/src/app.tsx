// The frame around every page: navigation, the word on the connection, keys, dialogs.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { away, connection } from "./api/client";
import { getInfo } from "./api/calls";
import { asking, isNobody, may, settled, signOut, who, type Action } from "./api/session";
import { showTab } from "./lib/watch";
import { nextTheme, theme } from "./lib/theme";
import { go, href, route, type RouteName } from "./router";
import { Notice, Skeleton } from "./ui/basics";
import { useCommands, type Command } from "./ui/commands";
import { Questions } from "./ui/dialog";
import { Icon, type IconName } from "./ui/icon";
import { LoginDialog, LoginPage } from "./ui/login";
import { Palette, paletteOpen, Sheet, sheetOpen } from "./ui/palette";
import { attempt, Toasts } from "./ui/toast";

type PageName = Exclude<RouteName, "lost" | "job">;

interface Place {
  name: PageName;
  title: string;
  icon: IconName;
  key: string;
  /** What one must be allowed to do, for the page to be of use. */
  needs?: Action;
}

const places: Place[] = [
  { name: "run", title: "Run", icon: "run", key: "g r", needs: "submit" },
  { name: "jobs", title: "Jobs", icon: "jobs", key: "g j" },
  { name: "workers", title: "Workers", icon: "workers", key: "g w" },
  { name: "overview", title: "Overview", icon: "overview", key: "g o" },
  { name: "terminals", title: "Terminals", icon: "terminals", key: "g t", needs: "submit" },
];

const isOpen = ({ needs }: Place): boolean => !needs || may(needs);
/** Where one begins. */
const start = (): string => href(places.find(isOpen)?.name ?? "jobs");

const pages: Record<Exclude<RouteName, "lost">, () => Promise<{ default: ComponentType }>> = {
  run: () => import("./pages/run/run"),
  jobs: () => import("./pages/jobs/jobs"),
  job: () => import("./pages/job/job"),
  workers: () => import("./pages/workers/workers"),
  overview: () => import("./pages/overview/overview"),
  terminals: () => import("./pages/terminals/terminals"),
};

const loaded = new Map<string, ComponentType>();

/** The page of the present route, loaded when first needed. */
function Page() {
  const { name } = route.value;
  const [, again] = useState(0);
  const [failed, setFailed] = useState("");
  useEffect(() => {
    if (name === "lost" || loaded.has(name)) return;
    pages[name]().then(
      (module) => {
        loaded.set(name, module.default);
        again((round) => round + 1);
      },
      () => setFailed(name),
    );
  }, [name]);
  if (name === "lost")
    return (
      <>
        <h1>Not found</h1>
        <Notice kind="empty" title="There is no such page." action={<a class="button" href={start()}>Go to the start page</a>}>
          The address does not name a page of Gleaner.
        </Notice>
      </>
    );
  const place = places.find((one) => one.name === name);
  if (place && !isOpen(place))
    return (
      <>
        <h1>{place.title}</h1>
        <Notice kind="empty" title="Your role runs nothing." action={<a class="button" href={start()}>Go to Jobs</a>}>
          You are logged in as a {who.value?.role}, who may look at everything here. Whoever runs the broker can give you another token.
        </Notice>
      </>
    );
  const Loaded = loaded.get(name);
  if (Loaded) return <Loaded />;
  if (failed === name)
    return (
      <Notice kind="error" title="This part of the page could not be loaded." action={<button type="button" class="button" onClick={() => location.reload()}>Reload</button>}>
        The gateway is away, or it serves a newer page by now.
      </Notice>
    );
  return <Skeleton lines={6} />;
}

const ASK_MS = 10_000;
const RECOVER_MS = 1500;

/** While the broker or the gateway is away: says so, and asks more often until it is back. */
function Banner() {
  const state = connection.value;
  const isAway = away.value;
  useEffect(() => {
    const ask = (): void => {
      if (!document.hidden && !asking.value) void getInfo().catch(() => undefined);
    };
    const timer = window.setInterval(ask, isAway ? RECOVER_MS : ASK_MS);
    return () => window.clearInterval(timer);
  }, [isAway]);
  if (!isAway) return null;
  return (
    <div class="banner" role="alert">
      <Icon name="warning" />
      {state === "gateway-away"
        ? "The gateway cannot be reached. What you typed stays here; this goes on by itself when it is back."
        : "The broker is away. Jobs and results are safe; this goes on by itself when it is back."}
    </div>
  );
}

const themeIcons: Record<string, IconName> = { auto: "auto", light: "sun", dark: "moon" };

/** Who has logged in, and the way out. */
function User() {
  const now = who.value;
  if (!now?.required || isNobody(now)) return null;
  return (
    <div class="who">
      <span class="who-name">
        <strong title={now.name ?? undefined}>{now.name ?? "No name"}</strong>
        <span class="faint">{now.role}</span>
      </span>
      <button type="button" class="button quiet small" onClick={() => void attempt(signOut)}>
        <Icon name="leave" /> Sign out
      </button>
    </div>
  );
}

function Nav() {
  const here = route.value.name === "job" ? "jobs" : route.value.name;
  return (
    <header class="nav">
      <a class="brand" href={start()} aria-label="Gleaner, start page">
        <img src="./icon.idle.svg" alt="" width="26" height="26" />
        <span>Gleaner</span>
      </a>
      <nav aria-label="Main">
        {places.filter(isOpen).map((place) => (
          <a key={place.name} href={href(place.name)} aria-current={here === place.name ? "page" : undefined}>
            <Icon name={place.icon} />
            <span>{place.title}</span>
          </a>
        ))}
      </nav>
      <User />
      <div class="nav-tools">
        <button type="button" class="button quiet" onClick={() => (paletteOpen.value = true)} aria-label="Commands (Ctrl K)" title="Commands (Ctrl K)">
          <Icon name="command" />
        </button>
        <button type="button" class="button quiet" onClick={nextTheme} aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value}`}>
          <Icon name={themeIcons[theme.value] ?? "auto"} />
        </button>
        <button type="button" class="button quiet" onClick={() => (sheetOpen.value = true)} aria-label="Keys (?)" title="Keys (?)">
          <Icon name="help" />
        </button>
      </div>
    </header>
  );
}

const globalCommands = (): Command[] => [
  { id: "palette", title: "Commands", keys: "Ctrl K", group: "Everywhere", run: () => (paletteOpen.value = true) },
  { id: "sheet", title: "Keys", keys: "?", group: "Everywhere", run: () => (sheetOpen.value = true) },
  { id: "theme", title: "Change colours: light, dark, as the system", keys: "g c", group: "Everywhere", run: nextTheme },
  ...places.filter(isOpen).map((place) => ({
    id: `go-${place.name}`,
    title: `Go to ${place.title}`,
    keys: place.key,
    group: "Everywhere",
    run: () => go(href(place.name)),
  })),
];

/** For whom nothing runs, the start page is another one. */
function useStart(): void {
  const atStart = route.value.name === "run" && location.hash.length <= 2;
  const to = start();
  useEffect(() => {
    if (atStart && to !== href("run")) history.replaceState(null, "", to);
    if (atStart && to !== href("run")) dispatchEvent(new HashChangeEvent("hashchange"));
  }, [atStart, to]);
}

export function App() {
  const now = who.value;
  if (!settled.value) return <main class="page"><Skeleton lines={6} /></main>;
  if (asking.value && (now === null || isNobody(now))) return <LoginPage />;
  return (
    <>
      <Frame key={`${now?.role} ${now?.name}`} />
      {asking.value ? <LoginDialog /> : null}
    </>
  );
}

function Frame() {
  useCommands([
    ...globalCommands(),
    ...(who.value?.required ? [{ id: "sign-out", title: "Sign out", group: "Everywhere", run: () => void attempt(signOut) }] : []),
  ]);
  useStart();
  const { name } = route.value;
  const isAway = away.value;
  useEffect(() => {
    if (name !== "job") showTab(places.find((place) => place.name === name)?.title ?? "", isAway ? "offline" : "idle");
  }, [name, isAway]);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        Skip to the content
      </a>
      <Nav />
      <main id="main" tabIndex={-1} class={`page page-${name}`}>
        <Banner />
        <Page />
      </main>
      <Palette />
      <Sheet />
      <Questions />
      <Toasts />
    </>
  );
}
