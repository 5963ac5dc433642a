// Numbers, sizes and times as people read them.

const SIZE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

export function bytes(count: number): string {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < SIZE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1);
  return `${text} ${SIZE_UNITS[unit] ?? ""}`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** "1 job", "3 jobs". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A span of time: "840 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function duration(ms: number): string {
  if (ms < 0) return duration(0);
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const pair = (big: number, bigName: string, small: number, smallName: string): string =>
    small ? `${big} ${bigName} ${small} ${smallName}` : `${big} ${bigName}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, "min", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return pair(hours, "h", minutes % 60, "min");
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** "just now", "5 min ago", "in 2 h". */
export function ago(ms: number, now: number): string {
  const span = now - ms;
  if (Math.abs(span) < 5000) return "just now";
  const size = Math.abs(span);
  const text =
    size < 60_000 ? `${Math.floor(size / 1000)} s`
    : size < 3_600_000 ? `${Math.floor(size / 60_000)} min`
    : size < 86_400_000 ? `${Math.floor(size / 3_600_000)} h`
    : `${Math.floor(size / 86_400_000)} d`;
  return span < 0 ? `in ${text}` : `${text} ago`;
}

/** The exact local time, with milliseconds and zone. */
export function exact(ms: number): string {
  const date = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, "0");
  const zone = -date.getTimezoneOffset();
  const sign = zone < 0 ? "-" : "+";
  const offset = `${sign}${two(Math.floor(Math.abs(zone) / 60))}:${two(Math.abs(zone) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, "0")} ${offset}`;
}

/** Local time of day, with the date when it is another day than `now`. */
export function clock(ms: number, now: number): string {
  const date = new Date(ms);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return new Date(now).toDateString() === date.toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

/** A job's name for people: its own, else the first line of its commands. */
export function jobTitle(job: { name?: string | null | undefined; command?: string | null | undefined; jobId: string }): string {
  return job.name?.trim() || job.command?.trim().split("\n")[0]?.trim() || job.jobId;
}

/** The random tail of a job id, enough to tell jobs apart at a glance. */
export function shortId(jobId: string): string {
  return jobId.split("-").at(-1) ?? jobId;
}
