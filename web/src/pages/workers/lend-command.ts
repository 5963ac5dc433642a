// The command that lends a PC, made from the address of the page.

import { shellQuote } from "../../lib/quote";

/** As `gleaner-worker` has it. */
export const SLOTS_MAX = 256;
const ID_BYTES = 128;
const LABEL_BYTES = 4096;

export interface Lending {
  slots: string;
  id: string;
  label: string;
  /** A name for this machine in place of the page's; "": the page's own. */
  host: string;
}

export type LendErrors = Partial<Record<keyof Lending, string>>;

/** An option with its value. A value that begins with `-` must not look like an option itself. */
function option(name: string, value: string): string {
  return value.startsWith("-") ? shellQuote(`--${name}=${value}`) : `--${name} ${shellQuote(value)}`;
}

/** True for a name that means "this machine" on every machine. */
export function isLoopback(hostname: string): boolean {
  const name = hostname.toLowerCase().replace(/\.$/, "");
  return name === "localhost" || name.endsWith(".localhost") || name === "[::1]" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Two colons tell an address from a name with a port. */
const IPV6 = /^[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*$/i;

/** The address of the gateway as the page knows it, with the path prefix, without a slash at its end. */
export function serverAddress(page: string, host = ""): string {
  const { protocol, hostname, port, pathname } = new URL(".", page);
  const named = IPV6.test(host) ? `[${host}]` : host || hostname;
  return `${protocol}//${named}${port ? `:${port}` : ""}${pathname}`.replace(/\/+$/, "");
}

/** What a gateway is told to be reached from elsewhere. */
export function listenOption(page: string): string {
  const { port, protocol } = new URL(page);
  return `--listen 0.0.0.0:${port || (protocol === "https:" ? "443" : "80")}`;
}

const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
// eslint-disable-next-line no-control-regex -- these are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

function labelProblem(label: string): string | null {
  if (bytesOf(label) > LABEL_BYTES) return "Labels have 4096 bytes at most.";
  if (CONTROL.test(label)) return "Labels have no control characters.";
  const keys = new Set<string>();
  for (const item of label.split(",").map((part) => part.trim())) {
    const [key = "", ...rest] = item.split("=");
    if (!key.trim() || !rest.join("=").trim()) return `"${item}" is not KEY=VALUE.`;
    if (keys.has(key.trim())) return `"${key.trim()}" stands there twice.`;
    keys.add(key.trim());
  }
  return null;
}

/** What `gleaner-worker` would refuse, in sentences, by field. */
export function lendErrors({ slots, id, label, host }: Lending): LendErrors {
  const errors: LendErrors = {};
  const number = Number(slots);
  if (!/^\d+$/.test(slots.trim()) || number < 1 || number > SLOTS_MAX) errors.slots = `Slots are a whole number from 1 to ${SLOTS_MAX}.`;
  if (CONTROL.test(id.trim()) || bytesOf(id.trim()) > ID_BYTES) errors.id = `An id has ${ID_BYTES} bytes at most, and no control characters.`;
  const labels = label.trim() ? labelProblem(label.trim()) : null;
  if (labels) errors.label = labels;
  if (host.trim() && !/^[A-Za-z0-9._-]+$/.test(host.trim()) && !IPV6.test(host.trim().replace(/^\[(.*)\]$/, "$1"))) errors.host = "A name or an address, without a port.";
  return errors;
}

/** Where the PC that is lent is to have its token. */
export const TOKEN_FILE = "gleaner-token";

/** The command to start on the PC that is lent; `asks`: it has to say by a token who it is. */
export function lendCommand(page: string, { slots, id, label, host }: Lending, asks = false): string {
  const parts = ["gleaner-worker", option("server", serverAddress(page, host.trim())), option("slots", String(Number(slots)))];
  if (asks) parts.push(option("token-file", TOKEN_FILE));
  if (id.trim()) parts.push(option("id", id.trim()));
  if (label.trim()) parts.push(option("label", label.trim()));
  return parts.join(" ");
}
