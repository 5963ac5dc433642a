// What the HTTP API answers, as far as the page uses it. The source of every field is `proto/messages.def`.

export type JobState = "pending" | "running" | "completed" | "failed";
export type Stream = "stdout" | "stderr" | "journal";

/** What a job asks for beyond its commands; every field may be left out. */
export interface JobOptions {
  name?: string | null;
  priority?: number | null;
  env?: Record<string, string> | null;
  onError?: "stop" | "continue" | null;
  artifacts?: string[] | null;
  labels?: Record<string, string> | null;
  requires?: Record<string, string> | null;
  retryOnExit?: string[] | null;
  backoffMs?: number | null;
  network?: "none" | null;
  image?: string | null;
  memoryMb?: number | null;
  cpus?: number | null;
  diskMb?: number | null;
  pids?: number | null;
  /** A second ZIP, laid over that of `fileUrl`. */
  deltaUrl?: string | null;
}

/** What an attempt has used, by its worker's word. */
export interface Usage {
  cpuMs?: number | null;
  memoryPeakBytes?: number | null;
  pidsPeak?: number | null;
}

export interface JobRequest extends JobOptions {
  command: string;
  fileUrl: string;
  filename: string;
  timeoutMs?: number | null;
  maxAttempts?: number | null;
  delayMs?: number | null;
  machine?: string | null;
  idempotencyKey?: string | null;
}

export interface Attempt {
  attempt: number;
  status: "running" | "completed" | "failed" | "lost" | "cancelled";
  workerId?: string | null;
  reason?: string | null;
  errorMessage?: string | null;
  exitCode?: number | null;
  signal?: number | null;
  startedAt?: number | null;
  completedAt?: number | null;
  lateAt?: number | null;
  lateExitCode?: number | null;
  lateReason?: string | null;
  lastLines?: string | null;
}

/** A job's record; what is not yet known is null or absent. Times are ms since the epoch, by the broker's clock. */
export interface Job extends JobOptions, Usage {
  jobId: string;
  status: JobState;
  workerId?: string | null;
  command?: string | null;
  fileUrl?: string | null;
  filename?: string | null;
  exitCode?: number | null;
  errorMessage?: string | null;
  reason?: string | null;
  signal?: number | null;
  lastLines?: string | null;
  attempt?: number | null;
  attempts?: Attempt[] | null;
  waitingReason?: string | null;
  waiting?: string | null;
  directWorker?: string | null;
  owner?: string | null;
  secretNames?: string[] | null;
  notBefore?: number | null;
  artifactsUrl?: string | null;
  artifactsGone?: boolean | null;
  artifactsBytes?: number | null;
  artifactsCount?: number | null;
  artifactsNote?: string | null;
  outputGone?: boolean | null;
  stdoutBytes?: number | null;
  stderrBytes?: number | null;
  journalBytes?: number | null;
  stdoutDropped?: number | null;
  stderrDropped?: number | null;
  maxAttempts?: number | null;
  timeoutMs?: number | null;
  createdAt?: number | null;
  startedAt?: number | null;
  completedAt?: number | null;
}

export interface JobPage {
  jobs: Job[];
  count: number;
  total: number;
  cursor?: string | null;
}

/** `cursor` of one answer goes into the next request; a page may be short, even empty, and still have one. */
export interface JobFilter {
  state?: JobState | "";
  worker?: string;
  label?: string;
  text?: string;
  since?: number;
  until?: number;
}

export interface Worker {
  workerId: string;
  hostname: string;
  os?: string | null;
  cpuCount?: number | null;
  version?: string | null;
  slots?: number | null;
  status: "idle" | "busy" | "offline";
  labels?: Record<string, string> | null;
  asleepUntil?: number | null;
  currentJobId?: string | null;
  runningJobs: number;
  lastHeartbeat: number;
  registeredAt: number;
  loadPercent?: number | null;
  memoryBytes?: number | null;
  memoryFreeBytes?: number | null;
  draining?: boolean | null;
}

/** A character a quarter hour, oldest first: `-` unknown or offline, `0`..`9` tenths of its slots that were busy. */
export interface WorkerActivity {
  stepMs: number;
  until: number;
  workers: { workerId: string; activity: string }[];
}

export interface GatewayEntry {
  gatewayId: string;
  listen?: string | null;
  version?: string | null;
  uptimeMs?: number | null;
  connections?: number | null;
  lastSeen: number;
}

export interface Info {
  version: string;
  pendingJobs: number;
  runningJobs: number;
  totalJobs: number;
  totalWorkers: number;
  uptimeMs: number;
  diskFull?: boolean | null;
  blobBytes?: number | null;
  outputBytes?: number | null;
  refusedFrames: number;
  diskBytes?: number | null;
  diskFreeBytes?: number | null;
  gateways?: GatewayEntry[] | null;
  gateway?: { version: string; uploadMax: number; machine: string } | null;
}

export type StatsRange = "hour" | "day" | "week";

export interface StatsPoint {
  time: number;
  pending?: number | null;
  running?: number | null;
  workers?: number | null;
  busySlots?: number | null;
  slots?: number | null;
  created?: number | null;
  started?: number | null;
  completed?: number | null;
  failed?: number | null;
  waitP50?: number | null;
  waitP95?: number | null;
  runP50?: number | null;
  runP95?: number | null;
}

/** Percentiles are ms. A missing point means that the broker was down then. */
export interface Stats {
  range: StatsRange;
  stepMs: number;
  points: StatsPoint[];
  reasons: { reason: string; count: number }[];
  created: number;
  completed: number;
  failed: number;
  waitP50?: number | null;
  waitP95?: number | null;
  waitP99?: number | null;
  runP50?: number | null;
  runP95?: number | null;
  runP99?: number | null;
}

export interface JobEvent {
  eventId: string;
  eventType: "job";
  time: number;
  jobId: string;
  status: JobState;
  attempt?: number | null;
  workerId?: string | null;
  reason?: string | null;
  exitCode?: number | null;
}

export interface OutputEvent {
  eventId: string;
  eventType: "output";
  time: number;
  jobId: string;
  attempt: number;
  stream: Stream;
  bytes: number;
}

export interface WorkerEvent {
  eventId: string;
  eventType: "worker";
  time: number;
  workerId: string;
  status: "online" | "offline";
}

export type GleanerEvent = JobEvent | OutputEvent | WorkerEvent;
