import { describe, expect, it } from "vitest";
import type { StatsPoint, Worker } from "../src/api/types";
import { axisCount, axisDuration, disk, diskTrouble, fill, fleet, percent, rangeOf, reasonRows, sortedGateways } from "../src/pages/overview/figures";

const MINUTE = 60_000;
const END = 1_795_645_920_000;
const point = (back: number, more: Partial<StatsPoint> = {}): StatsPoint => ({ time: END - back * MINUTE, ...more });

describe("fill", () => {
  const hour = (points: StatsPoint[]) => fill({ range: "hour", stepMs: MINUTE, points });

  it("has a time for every step, ending with the newest point", () => {
    const { times } = hour([point(3), point(0)]);
    expect(times).toHaveLength(60);
    expect(times[59]).toBe(END);
    expect(times[0]).toBe(END - 59 * MINUTE);
  });

  it("has null where points are missing and where a point lacks the value", () => {
    const column = hour([point(3, { pending: 7 }), point(1, { pending: 0 }), point(0)]).column("pending");
    expect(column.slice(-4)).toEqual([7, null, 0, null]);
    expect(column.slice(0, 56).every((value) => value === null)).toBe(true);
  });

  it("takes times that are not quite regular, and forgets what is older than the range", () => {
    const { column } = hour([point(200, { running: 9 }), { time: END - MINUTE + 900, running: 4 }, point(0, { running: 5 })]);
    expect(column("running").filter((value) => value !== null)).toEqual([4, 5]);
    expect(column("running").slice(-2)).toEqual([4, 5]);
  });

  it("gives nothing for nothing, or for a broken step", () => {
    expect(hour([]).times).toEqual([]);
    expect(fill({ range: "day", stepMs: 0, points: [point(0)] }).times).toEqual([]);
  });
});

describe("words", () => {
  it("says shares without rounding to all or none", () => {
    expect([percent(0, 0), percent(0, 9), percent(1, 10_000), percent(4, 1000), percent(37, 100), percent(9999, 10_000), percent(5, 5)]).toEqual(
      ["–", "0 %", "< 0.1 %", "0.4 %", "37 %", "99.9 %", "100 %"],
    );
  });

  it("has short words for axes", () => {
    expect([1, 300, 1000, 30_000, 180_000, 1_800_000, 43_200_000, 259_200_000].map(axisDuration)).toEqual(
      ["1 ms", "300 ms", "1 s", "30 s", "3 min", "30 min", "12 h", "3 d"],
    );
    expect([0, 950, 2000, 12_500, 3_500_000].map(axisCount)).toEqual(["0", "950", "2,000", "12.5k", "3.5M"]);
  });

  it("reads the range of an address", () => {
    expect(rangeOf(new URLSearchParams("range=week"))).toBe("week");
    expect(rangeOf(new URLSearchParams("range=year"))).toBe("hour");
    expect(rangeOf(new URLSearchParams())).toBe("hour");
  });
});

describe("fleet", () => {
  const worker = (more: Partial<Worker>): Worker => ({ workerId: "w", hostname: "h", status: "idle", runningJobs: 0, lastHeartbeat: 0, registeredAt: 0, ...more });
  it("counts slots of those online only", () => {
    const all = [worker({ slots: 4, runningJobs: 3, status: "busy" }), worker({}), worker({ status: "offline", slots: 8 })];
    expect(fleet(all)).toEqual({ online: 2, known: 3, busy: 3, slots: 5 });
  });
});

describe("disk", () => {
  it("is null when the broker does not say", () => {
    expect(disk({})).toBeNull();
    expect(disk({ diskBytes: 100, diskFreeBytes: null })).toBeNull();
  });

  it("warns in words above 90 %, and louder when it is full", () => {
    expect(disk({ diskBytes: 200, diskFreeBytes: 50 })).toEqual({ bytes: 200, used: 150, free: 50, share: 75 });
    expect(diskTrouble({ diskBytes: 100, diskFreeBytes: 10 })).toBe("");
    expect(diskTrouble({ diskBytes: 100, diskFreeBytes: 9 })).toContain("91 % full");
    expect(diskTrouble({ diskBytes: 100, diskFreeBytes: 90, diskFull: true })).toContain("is full");
    expect(diskTrouble({})).toBe("");
  });
});

describe("lists", () => {
  it("sorts reasons by how many, with shares", () => {
    const rows = reasonRows([{ reason: "timeout", count: 1 }, { reason: "signal", count: 0 }, { reason: "exit-nonzero", count: 3 }]);
    expect(rows).toEqual([
      { reason: "exit-nonzero", count: 3, bar: 100, share: "75 %" },
      { reason: "timeout", count: 1, bar: (1 / 3) * 100, share: "25 %" },
    ]);
    expect(reasonRows([])).toEqual([]);
  });

  it("keeps gateways in a steady order", () => {
    const gateway = (gatewayId: string, listen?: string) => ({ gatewayId, listen, lastSeen: 0 });
    const order = sortedGateways([gateway("b", "0.0.0.0:10000"), gateway("z", "0.0.0.0:3000"), gateway("a", "0.0.0.0:3000"), gateway("q")]);
    expect(order.map((one) => one.gatewayId)).toEqual(["q", "a", "z", "b"]);
  });
});
