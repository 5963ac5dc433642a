// The jobs of a tab, shown one after the other.

export class Chain {
  private readonly known = new Set<string>();
  private waiting: string[] = [];
  private busy = false;

  /** `show` shows a job to its end, and calls back when that takes a while. `shown` is told of such a one; null: none is
   *  left. */
  constructor(
    private readonly show: (jobId: string, stays: () => void) => Promise<void>,
    private readonly shown: (jobId: string | null) => void,
  ) {}

  /** Puts those that are new at the end. */
  add(jobIds: readonly string[]): void {
    for (const jobId of jobIds) {
      if (this.known.has(jobId)) continue;
      this.known.add(jobId);
      this.waiting.push(jobId);
    }
    if (!this.busy) void this.run();
  }

  /** Shows nothing more behind the present one. */
  stop(): void {
    this.waiting = [];
  }

  private async run(): Promise<void> {
    this.busy = true;
    for (let jobId = this.waiting.shift(); jobId !== undefined; jobId = this.waiting.shift()) {
      const here = jobId;
      await this.show(here, () => this.shown(here)).catch(() => undefined); // what cannot be shown holds none up behind it
    }
    this.busy = false;
    this.shown(null);
  }
}

/** The jobs of a tab that come behind one; all of them when it is too old to be among them. */
export function behind(jobIds: readonly string[], jobId: string): string[] {
  return jobIds.slice(jobIds.indexOf(jobId) + 1);
}
