// xterm.js under a content policy that forbids <style> elements and style attributes.
//
// It makes both. At build time its <style> elements become <gleaner-style> (src/lib/xterm.ts), whose text becomes a
// constructed style sheet, and its one style attribute is set by way of the CSSOM; the policy allows these two.

import type { Plugin } from "vite";

const changes = [
  { what: 'createElement("style")', by: 'createElement("gleaner-style")', count: 3 },
  { what: 'setAttribute("style",', by: "style.cssText=(", count: 1 },
];

export function xtermPolicy(): Plugin {
  return {
    name: "xterm-policy",
    enforce: "pre",
    transform(code, id) {
      if (!/@xterm\/xterm\/lib\/xterm\.mjs/.test(id)) return null;
      let changed = code;
      for (const { what, by, count } of changes) {
        const parts = changed.split(what);
        if (parts.length !== count + 1) this.error(`xterm.js has another number of ${what} than ${count}: look at it anew.`);
        changed = parts.join(by);
      }
      return { code: changed, map: null };
    },
  };
}
