// Sends a file to the broker in pieces, from the offset that the server has.
//
//   put(id, 0) ... put(id, N) --> commit --> fileUrl
//     ^   |  no answer: the same piece again; the server skips what it has and says its length
//     |   +- the server does not know the upload (the broker was started again): a new id, from 0
//     +------+
//
// One piece is under way at a time: the server refuses a piece that comes before the one in front of it.

import { ApiError } from "../api/client";
import type { Retrier, Timer } from "./upload-retry";

export const PIECE_BYTES = 256 * 1024;
const ROUNDS_MAX = 8;
const TELL_MS = 100;
const SPAN_MS = 5000;

export interface Transport {
  newId(): string;
  /** Resolves to the upload's length at the server. */
  put(id: string, offset: number, piece: Blob): Promise<number>;
  /** Resolves to the address for job-create. */
  commit(id: string, bytes: number): Promise<string>;
}

export interface Sent {
  sent: number;
  bytes: number;
  /** Bytes a second over the last seconds; 0 while it is not known. */
  speed: number;
}

/** The file changed or went away on the user's disk. */
export class FileGoneError extends Error {
  constructor() {
    super("The file was changed, moved or removed after it was chosen. Choose it again.");
    this.name = "FileGoneError";
  }
}

/** Speed over the last seconds. */
export class Meter {
  private marks: { at: number; sent: number }[] = [];

  add(at: number, sent: number): void {
    if (sent < (this.marks.at(-1)?.sent ?? 0)) this.marks = [];
    this.marks.push({ at, sent });
    while (this.marks.length > 2 && at - this.marks[0]!.at > SPAN_MS) this.marks.shift();
  }

  get speed(): number {
    const first = this.marks[0];
    const last = this.marks.at(-1);
    return first && last && last.at > first.at ? ((last.sent - first.sent) * 1000) / (last.at - first.at) : 0;
  }
}

/** Throws FileGoneError for a file that is not what it was when it was chosen. A browser that cannot read what it is to send
 *  says the same as without a network, so we look. */
export async function checkReadable(piece: Blob): Promise<void> {
  try {
    await piece.slice(0, 1).arrayBuffer();
  } catch {
    throw new FileGoneError();
  }
}

/** True when the server has no such upload, or another length than it said: only a new upload helps. */
function lost(error: unknown): boolean {
  return error instanceof ApiError && (error.code === "NO_SUCH_UPLOAD" || error.code === "BAD_OFFSET");
}

const lostError = (): ApiError => new ApiError("The server lost the upload.", "NO_SUCH_UPLOAD", 404);

export class Upload {
  private readonly meter = new Meter();
  private told = -TELL_MS;

  constructor(
    private readonly blob: Blob,
    private readonly transport: Transport,
    private readonly retrier: Retrier,
    private readonly tell: (sent: Sent) => void,
    private readonly timer: Timer,
  ) {}

  /** Sends all of it; resolves to its address. */
  async run(): Promise<string> {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const id = this.transport.newId();
      try {
        await this.pieces(id);
        return await this.retrier.keep(() => this.transport.commit(id, this.blob.size));
      } catch (error) {
        if (!lost(error)) throw error;
      }
    }
    throw new ApiError(`The server lost the upload ${ROUNDS_MAX} times. Its log says why.`, "NO_SUCH_UPLOAD", 404);
  }

  private async pieces(id: string): Promise<void> {
    let offset = 0;
    this.progress(0);
    while (offset < this.blob.size) {
      const from = offset;
      const piece = this.blob.slice(from, from + PIECE_BYTES); // a Blob goes out several times faster than its bytes
      const length = await this.retrier.keep(() => this.put(id, from, piece));
      if (length !== from + piece.size) throw lostError();
      offset = length;
      this.progress(offset);
    }
  }

  private async put(id: string, offset: number, piece: Blob): Promise<number> {
    try {
      return await this.transport.put(id, offset, piece);
    } catch (error) {
      if (error instanceof ApiError && error.status === 0) await checkReadable(piece);
      throw error;
    }
  }

  private progress(sent: number): void {
    const now = this.timer.now();
    this.meter.add(now, sent);
    if (sent > 0 && sent < this.blob.size && now - this.told < TELL_MS) return;
    this.told = now;
    this.tell({ sent, bytes: this.blob.size, speed: this.meter.speed });
  }
}
