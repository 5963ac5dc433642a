// Tries a regular expression off the page's thread: it may take for ever, and then the page ends this worker.

import { marks, matching } from "./matcher";
import type { FromWorker, ToWorker } from "./regex-client";

const say = (message: FromWorker): void => self.postMessage(message);

self.onmessage = ({ data: { want, expression, texts } }: MessageEvent<ToWorker>) => {
  try {
    say({ kind: "found", found: want === "rows" ? matching(texts, expression) : texts.map((text) => marks(text, expression)) });
  } catch (error) {
    say({ kind: "failed", text: error instanceof Error ? error.message : String(error) }); // some are refused at their first use
  }
};
say({ kind: "ready" });
