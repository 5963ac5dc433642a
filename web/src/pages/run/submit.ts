// From the press of Run to the job's id: the file is sent, the job created, each tried again while that can help.
//
//   pack (wait for the folder) --> send --> create --> the job's page
//     any of them: a refusal, in words, in its place; or the user's Cancel

import { effect, signal } from "@preact/signals";
import { createJob, getInfo, randomId } from "../../api/calls";
import { ApiError, connection } from "../../api/client";
import type { Info, JobRequest } from "../../api/types";
import { bytes } from "../../lib/format";
import { remember } from "../../lib/history";
import { storedInTab } from "../../lib/storage";
import { checkReadable, FileGoneError, Upload, type Sent } from "../../lib/upload";
import { blobTransport, patient } from "../../lib/upload-http";
import { realTimer, Retrier, type Waiting } from "../../lib/upload-retry";
import { watch } from "../../lib/watch";
import { go, href, route } from "../../router";
import { toast } from "../../ui/toast";
import { draft, fieldFor, notifyMe, readDraft, type Draft, type Errors, type FieldName, type Wanted } from "./draft";
import { noteUploaded, settled, sizeProblem, source, type Source } from "./source";

export interface Progress {
  step: "pack" | "send" | "create";
  name: string;
  sent: Sent;
  waiting: Waiting | null;
}

export interface Refusal {
  title: string;
  text: string;
  field: FieldName | null;
  /** What was typed and chosen then; it says nothing about anything else. */
  draft: Draft;
  source: Source;
}

/** What is under way; null: nothing. */
export const progress = signal<Progress | null>(null);
/** Why the last Run did not become a job. */
export const refusal = signal<Refusal | null>(null);

/** A file that was sent is not sent again for so long; the server may have made room after that. */
const SENT_KEPT_MS = 3_600_000;
let stop: AbortController | null = null;
let retrier: Retrier | null = null;

export function cancel(): void {
  stop?.abort();
}

export function retryNow(): void {
  retrier?.kick();
}

// The network is back, or the frame's own question was answered: no need to wait on.
addEventListener("online", retryNow);
effect(() => {
  if (connection.value === "ok") retryNow();
});

/** A job-create whose answer never came: sent again within this time, it has the same key, so it is one job. */
interface Unanswered {
  key: string;
  request: string;
  at: number;
}
const unanswered = storedInTab<Unanswered | null>("run.unanswered", null);
const SAME_KEY_MS = 10 * 60_000;

/** The key for a request: that of its last try when that was never answered. */
export function keyFor(request: string, last: Unanswered | null, now: number): string {
  return last?.request === request && now - last.at < SAME_KEY_MS ? last.key : randomId();
}

/** What is wrong before anything is sent. */
export function problems(from: Draft, chosen: Source): { wanted: Wanted; errors: Errors } {
  const { wanted, errors } = readDraft(from);
  if (chosen.kind === "none") errors.source = "Choose a ZIP or a folder first: its files are what the commands run on.";
  if (chosen.kind === "bad") errors.source = chosen.problem;
  return { wanted, errors };
}

class Refused extends Error {
  constructor(
    message: string,
    readonly field: FieldName,
  ) {
    super(message);
  }
}

function step(name: Progress["step"], part: Partial<Progress> = {}): void {
  const before = progress.value;
  const sent = before?.sent ?? { sent: 0, bytes: 0, speed: 0 };
  progress.value = { name: before?.name ?? "", sent, waiting: null, ...part, step: name };
}

type Project = Pick<JobRequest, "fileUrl" | "filename" | "deltaUrl">;

async function fileFor(chosen: Source, info: Info, keep: Retrier, signal: AbortSignal): Promise<Project> {
  if (chosen.kind === "job") return { fileUrl: chosen.fileUrl, filename: chosen.filename, ...(chosen.deltaUrl ? { deltaUrl: chosen.deltaUrl } : {}) };
  if (chosen.kind === "bad") throw new Refused(chosen.problem, "source");
  if (chosen.kind !== "ready") throw new Refused("Choose a ZIP or a folder first.", "source");
  await checkReadable(chosen.blob);
  if (chosen.fileUrl && Date.now() - chosen.sentAt < SENT_KEPT_MS) return { fileUrl: chosen.fileUrl, filename: chosen.name };
  const tooLarge = sizeProblem(chosen.name, chosen.blob.size, info.gateway?.uploadMax ?? null);
  if (tooLarge) throw new Refused(tooLarge, "source");
  step("send", { name: chosen.name, sent: { sent: 0, bytes: chosen.blob.size, speed: 0 } });
  const tell = (sent: Sent): void => step("send", { sent });
  const fileUrl = await new Upload(chosen.blob, blobTransport(signal), keep, tell, realTimer).run();
  noteUploaded(chosen, fileUrl);
  return { fileUrl, filename: chosen.name };
}

/** The machine of direct mode; undefined in distributed mode. */
function machineFor(from: Draft, info: Info): string | undefined {
  if (from.mode === "distributed") return undefined;
  if (!info.gateway?.machine) throw new Refused("This gateway does not tell which computer it is on, so nothing can be tied to it. Run distributed.", "mode");
  return info.gateway.machine;
}

async function create(request: JobRequest, keep: Retrier, signal: AbortSignal): Promise<string> {
  const text = JSON.stringify(request);
  const key = keyFor(text, unanswered.value, Date.now());
  unanswered.value = { key, request: text, at: Date.now() };
  try {
    const { jobId } = await keep.keep(() => patient(signal, (both) => createJob(request, key, { signal: both })));
    unanswered.value = null;
    return jobId;
  } catch (error) {
    if (error instanceof ApiError && !error.passes) unanswered.value = null; // answered: there is no job
    throw error;
  }
}

const advice: Record<string, string> = {
  DISK_FULL: "Make room on its disk, then press Run again.",
  TOO_LARGE: "A proxy or the gateway refuses pieces of this size: its limit for a request's body must be 256 KiB or more.",
  IDEMPOTENCY_MISMATCH: "Press Run again.",
};

function refused(error: unknown): Omit<Refusal, "draft" | "source"> {
  if (error instanceof FileGoneError) return { title: "Not run", text: error.message, field: "source" };
  if (error instanceof Refused) return { title: "Not run", text: error.message, field: error.field };
  if (error instanceof ApiError)
    return { title: "The server refused it", text: [error.message, advice[error.code]].filter(Boolean).join(" "), field: fieldFor(error.field) };
  return { title: "Not run", text: error instanceof Error ? error.message : String(error), field: null };
}

async function work(from: Draft, wanted: Wanted, known: Info | null, keep: Retrier, signal: AbortSignal): Promise<string> {
  step("pack");
  const chosen = await settled(signal);
  const info = known ?? (await keep.keep(() => patient(signal, (both) => getInfo({ signal: both }))));
  const machine = machineFor(from, info);
  const file = await fileFor(chosen, info, keep, signal);
  step("create", { name: file.filename });
  return create({ ...wanted, ...file, ...(machine ? { machine } : {}) }, keep, signal);
}

function opened(jobId: string): void {
  if (notifyMe.value) void watch(jobId);
  if (route.value.name === "run") go(href("job", jobId));
  else toast(`Job ${jobId} was created.`);
}

/** Uploads and creates. The draft has been found to be in order. */
export async function run(wanted: Wanted, info: Info | null): Promise<void> {
  if (progress.value) return;
  const abort = new AbortController();
  const keep = new Retrier(abort.signal, (waiting) => {
    if (progress.value) progress.value = { ...progress.value, waiting };
  });
  stop = abort;
  retrier = keep;
  refusal.value = null;
  try {
    const jobId = await work(draft.value, wanted, info, keep, abort.signal);
    remember(wanted.command);
    progress.value = null;
    opened(jobId);
  } catch (error) {
    const { step: at } = progress.peek() as Progress;
    if (!abort.signal.aborted) refusal.value = { ...refused(error), draft: draft.value, source: source.value };
    else if (at === "create") refusal.value = { title: "Cancelled", text: "The request was on its way: look under Jobs whether it arrived.", field: null, draft: draft.value, source: source.value };
  } finally {
    progress.value = null;
    stop = retrier = null;
  }
}

/** "12.5 MiB of 200 MiB", for people and screen readers. */
export function amount({ sent, bytes: all }: Sent): string {
  return `${bytes(sent)} of ${bytes(all)}`;
}
