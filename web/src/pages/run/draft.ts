// What the user has typed, kept by the browser; and the request that it makes, or what is wrong with it.

import { requestAgain } from "../../api/calls";
import type { Job, JobRequest } from "../../api/types";
import { bytes, count } from "../../lib/format";
import { numbered } from "../../lib/shell";
import { stored, storedInTab } from "../../lib/storage";
import { Bad, byteLength, readExits, readGlobs, readNumber, readPairs, readSpan, writePairs, writeSpan } from "./lines";

export type Mode = "distributed" | "direct";

/** Everything as typed: what cannot be read yet is kept too. */
export interface Draft {
  command: string;
  mode: Mode;
  name: string;
  timeout: string;
  attempts: string;
  retryOn: string;
  retryPause: string;
  priority: string;
  delay: string;
  labels: string;
  requires: string;
  artifacts: string;
  env: string;
  goOn: boolean;
}

export const emptyDraft: Draft = {
  command: "",
  mode: "distributed",
  name: "",
  timeout: "",
  attempts: "",
  retryOn: "",
  retryPause: "",
  priority: "",
  delay: "",
  labels: "",
  requires: "",
  artifacts: "",
  env: "",
  goOn: false,
};

// Its environment may hold what is nobody else's business: it goes with the tab.
export const draft = storedInTab<Draft>("run.draft", emptyDraft);
export const notifyMe = stored<boolean>("run.notify", false);

export function change(part: Partial<Draft>): void {
  draft.value = { ...emptyDraft, ...draft.value, ...part };
}

export type FieldName = keyof Draft | "source";
export type Errors = Partial<Record<FieldName, string>>;

/** The options that are folded away. */
export const optionNames = ["name", "timeout", "attempts", "retryOn", "retryPause", "priority", "delay", "labels", "requires", "artifacts", "env", "goOn"] as const;

/** How many options are not as they are by default. */
export function optionsSet(from: Draft): number {
  return optionNames.filter((name) => (typeof from[name] === "string" ? from[name].trim() : from[name])).length;
}

/** What is asked for, but for its file. */
export type Wanted = Omit<JobRequest, "fileUrl" | "filename" | "machine">;

const COMMAND_MAX = 64 * 1024;
const ENV_MAX = 64 * 1024;
const LABELS_MAX = 4 * 1024;
const NAME_MAX = 255;
/** The broker's, which a job that named none has in its record. */
const TIMEOUT_DEFAULT = 3_600_000;
const ATTEMPTS_DEFAULT = 3;
const DAY = 86_400_000;

// eslint-disable-next-line no-control-regex -- just these are refused by the server
const badInCommand = /[\u0000-\u0008\u000b-\u001f\u007f]/;

function readCommand(text: string): string {
  if (!text.trim()) throw new Bad("Write at least one command.");
  const size = byteLength(text);
  if (size > COMMAND_MAX)
    throw new Bad(`The commands are ${bytes(size)} long; ${bytes(COMMAND_MAX)} at most. Put them into a script of the project and call that.`);
  const lines = numbered(text);
  const odd = lines.find((line) => badInCommand.test(line.text));
  if (odd) throw new Bad(`Command ${odd.number}: there is a control character in it.`);
  if (lines.every((line) => !line.number || line.text.trim().startsWith("#"))) throw new Bad("There are only comments. Write at least one command.");
  return text.trimEnd();
}

function readName(text: string): string | undefined {
  const name = text.trim();
  if (byteLength(name) > NAME_MAX) throw new Bad(`A name of ${count(NAME_MAX)} bytes at most.`);
  return name || undefined;
}

/** Reads a draft. What is wrong stands under the field's name. */
export function readDraft(from: Draft): { wanted: Wanted; errors: Errors } {
  const errors: Errors = {};
  const take = <T>(field: FieldName, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Bad)) throw error;
      errors[field] = error.message;
      return undefined;
    }
  };
  const wanted = {
    command: take("command", () => readCommand(from.command)) ?? "",
    name: take("name", () => readName(from.name)),
    timeoutMs: take("timeout", () => readSpan(from.timeout, 1, 30 * DAY, "30 days")),
    maxAttempts: take("attempts", () => readNumber(from.attempts, 1, 1000)),
    retryOnExit: take("retryOn", () => readExits(from.retryOn)),
    backoffMs: take("retryPause", () => readSpan(from.retryPause, 0, DAY, "1 day")),
    priority: take("priority", () => readNumber(from.priority, -1000, 1000)),
    delayMs: take("delay", () => readSpan(from.delay, 0, 30 * DAY, "30 days")),
    labels: take("labels", () => readPairs(from.labels, { max: LABELS_MAX })),
    requires: take("requires", () => readPairs(from.requires, { max: LABELS_MAX })),
    artifacts: take("artifacts", () => readGlobs(from.artifacts)),
    env: take("env", () => readPairs(from.env, { max: ENV_MAX, variables: true })),
    onError: from.goOn ? "continue" : undefined,
  };
  const present = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  return { wanted: present as unknown as Wanted, errors };
}

const fieldOf: Record<string, FieldName> = {
  command: "command",
  name: "name",
  timeoutMs: "timeout",
  maxAttempts: "attempts",
  retryOnExit: "retryOn",
  backoffMs: "retryPause",
  priority: "priority",
  delayMs: "delay",
  labels: "labels",
  requires: "requires",
  artifacts: "artifacts",
  env: "env",
  onError: "goOn",
  machine: "mode",
  fileUrl: "source",
  filename: "source",
};

/** Where a refusal of the server belongs on the page. */
export function fieldFor(apiField: string | null): FieldName | null {
  return (apiField && fieldOf[apiField]) || null;
}

/** The draft that makes a job like `job` again. */
export function draftOf(job: Job): Draft {
  const again = requestAgain(job);
  const number = (value: number | null | undefined): string => (value === null || value === undefined ? "" : String(value));
  return {
    ...emptyDraft,
    command: again.command,
    name: again.name ?? "",
    timeout: again.timeoutMs === TIMEOUT_DEFAULT ? "" : writeSpan(again.timeoutMs),
    attempts: again.maxAttempts === ATTEMPTS_DEFAULT ? "" : number(again.maxAttempts),
    retryOn: (again.retryOnExit ?? []).join(", "),
    retryPause: writeSpan(again.backoffMs),
    priority: again.priority ? number(again.priority) : "",
    labels: writePairs(again.labels),
    requires: writePairs(again.requires),
    artifacts: (again.artifacts ?? []).join("\n"),
    env: writePairs(again.env),
    goOn: again.onError === "continue",
  };
}
