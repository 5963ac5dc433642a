// What the overview computes from the answers of the broker; nothing of it has a look.

import type { GatewayEntry, Info, Stats, StatsPoint, StatsRange, Worker } from "../../api/types";
import { count, duration } from "../../lib/format";

export const ranges: readonly { name: StatsRange; short: string; words: string; points: number }[] = [
  { name: "hour", short: "1 h", words: "last hour", points: 60 },
  { name: "day", short: "24 h", words: "last 24 hours", points: 288 },
  { name: "week", short: "7 d", words: "last 7 days", points: 168 },
];

/** The range that an address names; an hour when it names none. */
export function rangeOf(query: URLSearchParams): StatsRange {
  return ranges.find((range) => range.name === query.get("range"))?.name ?? "hour";
}

export type Column = Exclude<keyof StatsPoint, "time">;
export interface Table {
  times: number[];
  column: (name: Column) => (number | null)[];
}

/** The points on an axis without holes: a time for every step of the range, null where the broker was down. It ends with
 *  the newest point, since only the broker's clock counts. */
export function fill(stats: Pick<Stats, "range" | "stepMs" | "points">): Table {
  const { stepMs, points } = stats;
  const size = ranges.find((range) => range.name === stats.range)?.points ?? points.length;
  const end = points.reduce((latest, point) => Math.max(latest, point.time), 0);
  if (end === 0 || !(stepMs > 0)) return { times: [], column: () => [] };
  const start = end - (size - 1) * stepMs;
  const rows = new Array<StatsPoint | null>(size).fill(null);
  for (const point of points) {
    const at = Math.round((point.time - start) / stepMs);
    if (at >= 0 && at < size) rows[at] = point;
  }
  const known = new Map<Column, (number | null)[]>();
  const column = (name: Column): (number | null)[] => {
    const found = known.get(name) ?? rows.map((row) => row?.[name] ?? null);
    known.set(name, found);
    return found;
  };
  return { times: rows.map((_, at) => start + at * stepMs), column };
}

/** A share in words: "0 %", "0.4 %", "37 %"; nothing of nothing is "–". Never "100 %" or "0 %" for what is not all or none. */
export function percent(part: number, whole: number): string {
  if (!(whole > 0)) return "–";
  const share = (part / whole) * 100;
  if (share > 0 && share < 0.1) return "< 0.1 %";
  if (share > 99 && share < 100) return `${Math.min(99.9, share).toFixed(1)} %`;
  return share === 0 || share >= 10 ? `${Math.round(share)} %` : `${share.toFixed(1)} %`;
}

/** A span on an axis: one unit only. */
export function axisDuration(ms: number): string {
  const units: [number, string][] = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1000, "s"], [1, "ms"]];
  const [size, name] = units.find(([unit]) => ms >= unit) ?? [1, "ms"];
  const value = ms / size;
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${name}`;
}

/** Where an axis of spans may have its ticks: round for people, each about ten times the one below. */
export const spanTicks: readonly number[] = [1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 172_800_000, 1_728_000_000];

/** A count on an axis: "950", "12k", "3.5M". */
export function axisCount(value: number): string {
  if (value >= 1e6) return `${Number((value / 1e6).toFixed(1))}M`;
  if (value >= 10_000) return `${Number((value / 1e3).toFixed(1))}k`;
  return Number.isInteger(value) ? count(value) : String(Number(value.toFixed(2)));
}

/** A count in the legend; a mean has a decimal. */
export const legendCount = (value: number): string => (Number.isInteger(value) ? count(value) : value.toFixed(1));

export const spanOrDash = (ms: number | null | undefined): string => (ms === null || ms === undefined ? "–" : duration(ms));

export interface Fleet {
  online: number;
  known: number;
  busy: number;
  slots: number;
}

/** How many workers and slots there are now; offline workers have no slots. */
export function fleet(workers: readonly Worker[]): Fleet {
  const online = workers.filter((worker) => worker.status !== "offline");
  const sum = (of: (worker: Worker) => number): number => online.reduce((total, worker) => total + of(worker), 0);
  return { online: online.length, known: workers.length, busy: sum((worker) => worker.runningJobs), slots: sum((worker) => worker.slots ?? 1) };
}

export interface Disk {
  bytes: number;
  used: number;
  free: number;
  /** 0 to 100. */
  share: number;
}

/** The disk of the data directory; null when the broker does not say. */
export function disk(info: Pick<Info, "diskBytes" | "diskFreeBytes">): Disk | null {
  const { diskBytes, diskFreeBytes } = info;
  if (!diskBytes || diskFreeBytes === null || diskFreeBytes === undefined) return null;
  const free = Math.min(diskBytes, Math.max(0, diskFreeBytes));
  return { bytes: diskBytes, used: diskBytes - free, free, share: ((diskBytes - free) / diskBytes) * 100 };
}

const NEARLY_FULL = 90;

/** What is wrong with the disk, in words; "" when nothing is. */
export function diskTrouble(info: Pick<Info, "diskBytes" | "diskFreeBytes" | "diskFull">): string {
  if (info.diskFull) return "The disk of the data directory is full: new jobs and uploads are refused until there is room again.";
  const found = disk(info);
  if (!found || found.share <= NEARLY_FULL) return "";
  return `The disk of the data directory is ${percent(found.used, found.bytes)} full. When it is full, new jobs and uploads are refused.`;
}

/** Gateways in a steady order: by where they listen, then by id. */
export function sortedGateways(gateways: readonly GatewayEntry[]): GatewayEntry[] {
  const key = (one: GatewayEntry): string => `${one.listen ?? ""} ${one.gatewayId}`;
  return [...gateways].sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
}

/** Failure reasons, most frequent first, with their share of the greatest (the bar) and of all. */
export function reasonRows(reasons: Stats["reasons"]): { reason: string; count: number; bar: number; share: string }[] {
  const some = reasons.filter((one) => one.count > 0).sort((a, b) => b.count - a.count || a.reason.localeCompare(b.reason));
  const all = some.reduce((sum, one) => sum + one.count, 0);
  const most = some[0]?.count ?? 1;
  return some.map((one) => ({ ...one, bar: (one.count / most) * 100, share: percent(one.count, all) }));
}
