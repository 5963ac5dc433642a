import { randomId } from "../../api/calls";
import { send } from "../../api/client";

const PIECE = 256 * 1024;

/** Sends a ZIP; its address for jobs. */
export async function uploadZip(file: File, sent: (bytes: number) => void): Promise<string> {
  const upload = randomId();
  for (let offset = 0; offset < file.size || offset === 0; offset += PIECE) {
    await send("POST", "api/blobs/put", { upload, offset }, file.slice(offset, offset + PIECE));
    sent(Math.min(file.size, offset + PIECE));
  }
  const body = JSON.stringify({ upload, bytes: file.size, zip: true });
  const answer = await send("POST", "api/blobs/commit", {}, body, { headers: { "Content-Type": "application/json" } });
  return ((await answer.json()) as { fileUrl: string }).fileUrl;
}
