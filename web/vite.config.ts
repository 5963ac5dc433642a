import { defineConfig } from "vitest/config";
import { xtermPolicy } from "./scripts/xterm-policy";

// Relative addresses and one flat folder: the page works behind any path prefix, and the gateway serves plain names.
export default defineConfig({
  base: "./",
  plugins: [xtermPolicy()],
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: process.env.GLEANER_WEB_OUT ?? "../build/web",
    emptyOutDir: true,
    assetsDir: "",
    assetsInlineLimit: 0, // a data: address would need a hole in the content policy
    modulePreload: { polyfill: false },
    target: "es2022",
    reportCompressedSize: false,
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/uploads"].map((path) => [path, process.env.GLEANER_GATEWAY ?? "http://127.0.0.1:3000"]),
    ),
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    environment: "jsdom",
    restoreMocks: true,
    setupFiles: ["test/setup.ts"],
  },
});
