// Writes NAME.gz and NAME.br beside every built file that gets smaller by it, so that the gateway only picks.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const folder = process.env.GLEANER_WEB_OUT ?? "../build/web";
for (const name of readdirSync(folder)) {
  if (/\.(gz|br)$/.test(name)) continue;
  const bytes = readFileSync(join(folder, name));
  const forms = {
    gz: gzipSync(bytes, { level: 9 }),
    br: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
  };
  for (const [suffix, small] of Object.entries(forms))
    if (small.length < bytes.length) writeFileSync(join(folder, `${name}.${suffix}`), small);
}
