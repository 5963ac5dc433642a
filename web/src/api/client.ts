// Every call to the gateway goes through here: addresses relative to the page, errors as one type, one word on whether
// the broker can be reached.

import { computed, signal } from "@preact/signals";

/** A refusal, or the lack of an answer. `message` is a sentence for people. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** The stable code, `OFFLINE` when there was no answer at all. */
    readonly code: string,
    /** HTTP status, 0 without an answer. */
    readonly status: number,
    readonly field: string | null = null,
    readonly offset: number | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** True when the same call may succeed later without anybody doing anything. */
  get passes(): boolean {
    return this.status === 0 || this.status === 503 || this.status === 429 || this.status === 502 || this.status === 504;
  }
}

export type Connection = "unknown" | "ok" | "gateway-away" | "broker-away";

/** Whether the last calls were answered. */
export const connection = signal<Connection>("unknown");

/** The broker or the gateway cannot be reached. */
export const away = computed(() => connection.value === "gateway-away" || connection.value === "broker-away");

const CLOCK_SLACK_MS = 5000; // the header has whole seconds, and the way takes time
let clockOffset = 0;

/** Now by the server's clock, as far as its answers have told it: the browser's may be wrong by hours. */
export const serverNow = (): number => Date.now() + clockOffset;

function noteClock(response: Response): void {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (Number.isNaN(date)) return;
  const offset = date - Date.now();
  clockOffset = Math.abs(offset) > CLOCK_SLACK_MS ? offset : 0;
}

export type Params = Record<string, string | number | boolean | null | undefined>;

/** The address of a call, relative to the page, so that a path prefix in front of the gateway is kept. */
export function address(path: string, params: Params = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params))
    if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  const text = query.toString();
  const base = new URL(path.replace(/^\//, ""), document.baseURI);
  base.hash = "";
  base.search = text;
  return base.href;
}

/** What a failed answer says. Bodies that are not JSON (a proxy's page) give a sentence of our own. */
export function errorOf(status: number, body: string): ApiError {
  let answer: unknown = null;
  try {
    answer = JSON.parse(body);
  } catch {
    // A proxy in front of the gateway answers with a page of its own.
  }
  const fields = typeof answer === "object" && answer !== null ? (answer as Record<string, unknown>) : {};
  const text = typeof fields.error === "string" ? fields.error : `The server answered ${status}.`;
  const code = typeof fields.code === "string" ? fields.code : `HTTP_${status}`;
  const field = typeof fields.field === "string" ? fields.field : null;
  return new ApiError(text, code, status, field, typeof fields.offset === "number" ? fields.offset : null);
}

/** No answer came: the network, or the gateway. */
export function noAnswer(): ApiError {
  return new ApiError("The gateway cannot be reached. It is tried again by itself.", "OFFLINE", 0);
}

/** Takes note of how a call went. */
export function noteStatus(status: number): void {
  if (status === 0 || status === 502 || status === 504) connection.value = "gateway-away";
  else if (status === 503) connection.value = "broker-away";
  else connection.value = "ok";
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
  headers?: Record<string, string>;
}

/** What a login adds to every call. */
interface Remedy {
  headers?: (method: string) => Record<string, string>;
  /** Called before a call; may make it wait. */
  before?: (path: string, signal?: AbortSignal) => Promise<void>;
  /** Called after a refusal, the `tries`th of this call from 0 on; true: the call is made again. */
  after?: (path: string, error: ApiError, tries: number, signal?: AbortSignal) => Promise<boolean>;
}
/** session.ts fills it in: it makes calls itself. */
export const remedy: Remedy = {};

/** One call. Throws ApiError; an abort throws what fetch throws for it. */
export async function send(
  method: string,
  path: string,
  params: Params = {},
  body?: BodyInit | null,
  options: CallOptions = {},
): Promise<Response> {
  for (let tries = 0; ; tries++) {
    await remedy.before?.(path, options.signal);
    try {
      return await sendOnce(method, path, params, body, options);
    } catch (error) {
      if (!(error instanceof ApiError) || !(await remedy.after?.(path, error, tries, options.signal))) throw error;
    }
  }
}

async function sendOnce(method: string, path: string, params: Params, body: BodyInit | null | undefined, options: CallOptions): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(path, params), {
      method,
      body: body ?? null,
      headers: { Accept: "application/json", ...remedy.headers?.(method), ...options.headers },
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    noteStatus(0);
    throw noAnswer();
  }
  noteStatus(response.status);
  noteClock(response);
  if (!response.ok) throw errorOf(response.status, await response.text());
  return response;
}

export async function get<T>(path: string, params: Params = {}, options: CallOptions = {}): Promise<T> {
  return (await (await send("GET", path, params, null, options)).json()) as T;
}

export async function post<T>(path: string, body: unknown, options: CallOptions = {}): Promise<T> {
  const headers = { "Content-Type": "application/json", ...options.headers };
  return (await (await send("POST", path, {}, JSON.stringify(body), { ...options, headers })).json()) as T;
}
