// Runs `npm ci` in a folder when its package-lock.json is another one than last time. Usage: node install.mjs FOLDER
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const folder = resolve(process.argv[2] ?? ".");
const mark = join(folder, "node_modules", ".gleaner-installed");
// The packages hold programs for one kind of machine.
const wanted = `${process.platform} ${process.arch}\n${readFileSync(join(folder, "package-lock.json"), "utf8")}`;

if (!existsSync(mark) || readFileSync(mark, "utf8") !== wanted) {
  const { status, error } = spawnSync("npm", ["ci", "--include=dev", "--loglevel=error"], { cwd: folder, stdio: "inherit" });
  if (status !== 0) {
    console.error(`npm ci in ${folder} failed${error ? `: ${error.message}` : "."}`);
    process.exit(1);
  }
  writeFileSync(mark, wanted);
}
