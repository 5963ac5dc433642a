// @vitest-environment node
import { beforeEach, describe, expect, it } from "vitest";
import { ApiError, noAnswer } from "../src/api/client";
import { FileGoneError, Meter, PIECE_BYTES, Upload, type Sent, type Transport } from "../src/lib/upload";
import { Retrier, type Timer, type Waiting } from "../src/lib/upload-retry";

/** Time that goes on only when somebody waits. */
class FakeTimer implements Timer {
  time = 0;
  hold = false;
  waits: number[] = [];
  now = () => this.time;
  after(ms: number, then: () => void): () => void {
    let on = true;
    this.waits.push(ms);
    if (!this.hold)
      queueMicrotask(() => {
        if (!on) return;
        this.time += ms;
        then();
      });
    return () => (on = false);
  }
}

/** A server as the broker is: pieces in order, what it has is skipped, all forgotten when it starts again. */
class Server implements Transport {
  uploads = new Map<string, number>();
  ids = 0;
  log: string[] = [];
  /** Called before each call; what it throws is the answer. With `after`, the call is done and its answer lost. */
  trouble: (call: string, nth: number) => void = () => undefined;
  after: (call: string, nth: number) => void = () => undefined;
  calls = 0;
  newId = () => `u${++this.ids}`;
  // eslint-disable-next-line @typescript-eslint/require-await -- it throws as a promise does
  async put(id: string, offset: number, piece: Blob): Promise<number> {
    const nth = ++this.calls;
    this.log.push(`put ${id} ${offset}`);
    this.trouble("put", nth);
    if (offset === 0) this.uploads.set(id, 0);
    const length = this.uploads.get(id);
    if (length === undefined) throw new ApiError("gone", "NO_SUCH_UPLOAD", 404);
    if (offset > length) throw new ApiError("gap", "BAD_OFFSET", 400);
    this.uploads.set(id, Math.max(length, offset + piece.size));
    this.after("put", nth);
    return this.uploads.get(id)!;
  }
  // eslint-disable-next-line @typescript-eslint/require-await -- it throws as a promise does
  async commit(id: string, bytes: number): Promise<string> {
    const nth = ++this.calls;
    this.log.push(`commit ${id}`);
    this.trouble("commit", nth);
    if (!this.uploads.has(id)) throw new ApiError("gone", "NO_SUCH_UPLOAD", 404);
    if (this.uploads.get(id) !== bytes) throw new ApiError("gap", "BAD_OFFSET", 400);
    this.uploads.delete(id);
    this.after("commit", nth);
    return "/uploads/blob";
  }
}

let server: Server;
let timer: FakeTimer;
let abort: AbortController;
let waits: (Waiting | null)[];
let sent: Sent[];
const blob = new Blob([new Uint8Array(PIECE_BYTES * 3 + 10)]);

beforeEach(() => {
  server = new Server();
  timer = new FakeTimer();
  abort = new AbortController();
  waits = [];
  sent = [];
});

const retrier = () => new Retrier(abort.signal, (waiting) => waits.push(waiting), timer, () => 1);
const run = (file = blob, keep = retrier()) => new Upload(file, server, keep, (now) => sent.push(now), timer).run();
const busy = () => new ApiError("The broker does not answer.", "BROKER_UNAVAILABLE", 503);

describe("Upload", () => {
  it("sends pieces in order, then commits", async () => {
    expect(await run()).toBe("/uploads/blob");
    expect(server.log).toEqual(["put u1 0", "put u1 262144", "put u1 524288", "put u1 786432", "commit u1"]);
    expect(sent[0]?.sent).toBe(0);
    expect(sent.at(-1)).toMatchObject({ sent: blob.size, bytes: blob.size });
  });
  it("goes on with the same piece after a cut", async () => {
    server.trouble = (_, nth) => {
      if (nth >= 3 && nth <= 5) throw noAnswer();
    };
    await run();
    expect(server.log.filter((line) => line === "put u1 524288")).toHaveLength(4);
    expect(server.ids).toBe(1);
    expect(timer.waits).toEqual([500, 1000, 2000]);
    expect(waits.map((waiting) => waiting?.until ?? null)).toEqual([500, 1500, 3500, null]);
  });
  it("is right when only the answer was lost", async () => {
    server.after = (call, nth) => {
      if (call === "put" && nth === 2) throw noAnswer();
    };
    expect(await run()).toBe("/uploads/blob");
    expect(server.log.filter((line) => line === "put u1 262144")).toHaveLength(2);
  });
  it("begins anew when the broker was started again", async () => {
    server.trouble = (_, nth) => {
      if (nth === 3) {
        server.uploads.clear();
        throw busy();
      }
    };
    expect(await run()).toBe("/uploads/blob");
    expect(server.log.slice(3)).toEqual(["put u1 524288", "put u2 0", "put u2 262144", "put u2 524288", "put u2 786432", "commit u2"]);
    expect(waits[0]?.why).toBe("The broker does not answer.");
  });
  it("begins anew when the answer to the commit was lost", async () => {
    let first = true;
    server.after = (call) => {
      if (call !== "commit" || !first) return;
      first = false;
      throw noAnswer();
    };
    expect(await run()).toBe("/uploads/blob");
    expect(server.log.at(-1)).toBe("commit u2");
  });
  it("gives up when the server loses it again and again", async () => {
    server.trouble = (call) => {
      if (call === "commit") server.uploads.clear();
    };
    await expect(run()).rejects.toThrow("lost the upload 8 times");
  });
  it("does not try a refusal again", async () => {
    server.trouble = () => {
      throw new ApiError("The file is not a ZIP archive.", "NOT_ZIP", 422);
    };
    await expect(run()).rejects.toMatchObject({ code: "NOT_ZIP" });
    expect(server.calls).toBe(1);
  });
  it("tries faults of the server a few times", async () => {
    server.trouble = () => {
      throw new ApiError("Something failed on our side.", "INTERNAL", 500);
    };
    await expect(run()).rejects.toMatchObject({ code: "INTERNAL" });
    expect(server.calls).toBe(6);
  });
  it("tells a file that is gone from a network that is away", async () => {
    const gone = new Blob(["x"]);
    gone.slice = () => Object.assign(new Blob(["x"]), { slice: () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) });
    server.trouble = () => {
      throw noAnswer();
    };
    await expect(run(gone)).rejects.toBeInstanceOf(FileGoneError);
  });
});

describe("Retrier", () => {
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  it("is stopped in a pause", async () => {
    timer.hold = true;
    server.trouble = () => {
      throw busy();
    };
    const done = run();
    await settle();
    abort.abort();
    await expect(done).rejects.toMatchObject({ name: "AbortError" });
    expect(server.calls).toBe(1);
  });
  it("tries now when told to", async () => {
    timer.hold = true;
    server.trouble = (_, nth) => {
      if (nth === 1) throw busy();
    };
    const keep = retrier();
    const done = run(blob, keep);
    await settle();
    keep.kick();
    expect(await done).toBe("/uploads/blob");
  });
  it("waits ten seconds at most", async () => {
    server.trouble = (_, nth) => {
      if (nth < 12) throw busy();
    };
    await run();
    expect(timer.waits.slice(0, 7)).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
  });
});

it("measures the speed of the last seconds", () => {
  const meter = new Meter();
  expect(meter.speed).toBe(0);
  for (let second = 0; second <= 20; second++) meter.add(second * 1000, second < 10 ? second * 100 : 1000 + (second - 10) * 500);
  expect(meter.speed).toBe(500);
  meter.add(21_000, 0);
  expect(meter.speed).toBe(0);
});
