// Who uses the page, and what that allows. When a call is refused for want of a login, the login view is asked for, and the
// call waits for it: what was begun goes on afterwards.

import { effect, signal } from "@preact/signals";
import { ApiError, connection, get, post, remedy, send } from "./client";

export interface Who {
  /** false: nobody is asked, everybody may do everything. */
  required: boolean;
  /** "none" for somebody who has not logged in. */
  role: string;
  name?: string | null;
  expiresAt?: number | null;
  /** What a call that changes something must carry beside the cookie. */
  key?: string | null;
  /** What the server lets the role do, as "METHOD PATH". */
  calls: string[];
}

/** null: not known; then nothing is hidden, and the server says what may not be. */
export const who = signal<Who | null>(null);
/** The first answer, or none, has come: what is shown now is not taken back at once. */
export const settled = signal(false);
/** A login is needed before anything else can go on. */
export const asking = signal(false);

const PATH = "api/session";

// ---- what may be done ----

const actions = {
  submit: ["POST /api/jobs/create", "POST /api/blobs/put", "POST /api/blobs/commit"],
  cancel: ["POST /api/jobs/cancel"],
  drain: ["POST /api/workers/drain", "POST /api/workers/resume"],
} as const;

export type Action = keyof typeof actions;

/** Whether to show what does that. The server refuses it all the same. */
export function may(action: Action): boolean {
  const now = who.value;
  return now === null || actions[action].every((call) => now.calls.includes(call));
}

/** Nobody has logged in here, or has signed out: there is nothing to show but the login. */
export const isNobody = (now: Who | null): boolean => now?.required === true && now.role === "none";

// ---- waiting for a login ----

type Waiter = (same: boolean) => void;
const waiters = new Set<Waiter>();

/** When the login is there; false: it is somebody else's, who did not begin this. */
export function loggedIn(abort?: AbortSignal | null): Promise<boolean> {
  if (!asking.value) return Promise.resolve(true);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      waiters.delete(end);
      reject(abort?.reason as Error);
    };
    const end: Waiter = (same) => {
      abort?.removeEventListener("abort", stop);
      resolve(same);
    };
    if (abort?.aborted) return stop();
    waiters.add(end);
    abort?.addEventListener("abort", stop, { once: true });
  });
}

function release(same: boolean): void {
  const all = [...waiters];
  waiters.clear();
  for (const end of all) end(same);
}

const isSame = (before: Who | null, now: Who | null): boolean =>
  !before || isNobody(before) || (before.name === now?.name && before.role === now?.role);

function take(now: Who): void {
  const before = who.value;
  if (isNobody(now)) {
    if (!before || isNobody(before)) who.value = now;
    asking.value = true; // whoever it was stays in sight behind the login
    return;
  }
  who.value = now;
  asking.value = false;
  release(isSame(before, now));
}

/** Asks who one is. */
export async function readWho(): Promise<void> {
  take(await get<Who>(PATH));
}

remedy.headers = (method): Record<string, string> => {
  const key = who.value?.key;
  return method !== "GET" && key ? { "X-Gleaner-Key": key } : {};
};

remedy.before = async (path, abort) => {
  if (path === PATH || !asking.value || (await loggedIn(abort))) return;
  throw new ApiError("Somebody else has logged in meanwhile.", "UNAUTHORIZED", 401);
};

remedy.after = async (path, error, tries, abort) => {
  if (path === PATH) return false;
  if (error.status === 401) {
    asking.value = true;
    return loggedIn(abort);
  }
  if (error.code !== "NO_PAGE_KEY" || tries > 0) return false;
  const before = who.value;
  await readWho(); // another tab has logged in
  return isSame(before, who.value);
};

// ---- in and out ----

/** Throws ApiError with the server's sentence. */
export async function login(token: string): Promise<void> {
  await post(PATH, { token });
  await readWho();
  if (asking.value) throw new ApiError("The browser did not keep the login: allow cookies for this page.", "COOKIE", 0);
}

export async function signOut(): Promise<void> {
  await send("DELETE", PATH);
  who.value = { required: true, role: "none", calls: [] };
  asking.value = true;
  release(false);
}

/** From now on the page knows who uses it. */
export function startSession(): void {
  let older = false;
  const read = (): Promise<void> =>
    readWho()
      .catch((error: unknown) => {
        older = error instanceof ApiError && error.status === 404; // that gateway knows of no login
      })
      .then(() => {
        settled.value = true;
      });
  void read();
  effect(() => {
    if (connection.value === "ok" && settled.value && who.value === null && !older) void read();
  });
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && (who.value?.required || asking.value)) void read(); // another tab may have changed it
  });
}
