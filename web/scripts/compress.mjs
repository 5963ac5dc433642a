// Puts NAME.gz and NAME.br beside each file of the built page that they make smaller, for the gateway to hand out.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

/** The gateway serves flat names of these characters, and no longer ones. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/;
/** What is not packed already. */
const TEXT = /\.(html|js|css|svg|json|webmanifest|map|txt|ico)$/;

/** @param {Buffer} data */
function packed(data) {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
  };
  return { ".gz": gzipSync(data, { level: 9 }), ".br": brotliCompressSync(data, { params }) };
}

/**
 * @param {string} folder the built page
 * @returns {number} how many files it has
 */
export function compress(folder) {
  for (const entry of readdirSync(folder)) if (/\.(gz|br)$/.test(entry)) rmSync(join(folder, entry));
  const entries = readdirSync(folder, { withFileTypes: true });
  for (const entry of entries) {
    if (!entry.isFile() || !NAME.test(entry.name)) {
      throw new Error(`${join(folder, entry.name)}: the gateway serves no such name, only flat files.`);
    }
    if (!TEXT.test(entry.name)) continue;
    const data = readFileSync(join(folder, entry.name));
    for (const [suffix, bytes] of Object.entries(packed(data))) {
      if (bytes.length < data.length) writeFileSync(join(folder, entry.name + suffix), bytes);
    }
  }
  return entries.length;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = process.argv[2] ?? process.env.GLEANER_WEB_OUT ?? fileURLToPath(new URL("../../build/web", import.meta.url));
  console.log(`${compress(folder)} files in ${folder}`);
}
