// Stable reason codes of the broker and the worker, in plain words, with what can be done.

export interface Words {
  /** A few words, for badges and charts. */
  short: string;
  /** What happened and what to do, a sentence or two. */
  advice: string;
}

const words: Record<string, Words> = {
  "exit-nonzero": { short: "command failed", advice: "A command ended with an exit code other than 0. Its last lines usually say why." },
  signal: { short: "ended by a signal", advice: "A command was ended by a signal. Number 9 is often the kernel, short of memory." },
  cancelled: { short: "cancelled", advice: "Run it again when it is wanted after all." },
  timeout: { short: "took too long", advice: "It ran longer than its timeout. Raise the timeout, or find out what it waits for." },
  "worker-lost": { short: "worker lost", advice: "Its worker was not heard of any more: switched off, crashed, or cut from the network." },
  "lease-lost": { short: "broker out of reach", advice: "The worker could not reach the broker for longer than its lease lives, and stopped the job." },
  "worker-error": { short: "worker's own trouble", advice: "The worker could not run it; the message says what failed there." },
  "download-failed": { short: "download failed", advice: "The worker could not download the project." },
  "file-missing": { short: "project file missing", advice: "The project's ZIP is not there any more. Submit it again with the file." },
  "secrets-lost": { short: "Secrets lost", advice: "The broker has another secrets.key than when the job was submitted. Submit the job again." },
  "archive-refused": { short: "ZIP refused", advice: "The worker refused to unpack the ZIP; the message names the entry." },
  "out-of-memory": { short: "out of memory", advice: "It used more memory than it may. Raise memoryMb, or the worker's --max-memory." },
  "too-many-processes": { short: "too many processes", advice: "It ran more processes and threads than it may. Raise pids, or the worker's --max-pids." },
  "disk-limit": { short: "too much disk", advice: "Its folder took more of the disk than it may. Raise diskMb, or the worker's --max-disk." },
  "disk-full": { short: "worker's disk full", advice: "The disk of the worker was full." },
};

/** The words for a code; for one that this page does not know, the code itself. */
export function reasonWords(code: string): Words {
  return words[code] ?? { short: code.replaceAll("-", " "), advice: "" };
}

/** How a job or an attempt ended, in one sentence, from its record. */
export function sentence(end: {
  reason?: string | null | undefined;
  exitCode?: number | null | undefined;
  signal?: number | null | undefined;
  errorMessage?: string | null | undefined;
}): string {
  if (end.errorMessage) return end.errorMessage;
  if (end.signal) return `A command was ended by signal ${end.signal}.`;
  if (end.exitCode) return `A command ended with exit code ${end.exitCode}.`;
  return end.reason ? `It ended: ${reasonWords(end.reason).short}.` : "";
}
