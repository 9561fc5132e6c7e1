// Lets TypeScript judge messages and modals by Slack's own types.
//
//   node check.mjs FOLDER PEER
//
// FOLDER holds them as *.json; PEER is where package.json of this folder was installed. Exits 0 if
// the compiler takes all of them and there was at least one.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const [folder, peer] = process.argv.slice(2);
if (!folder || !peer) {
  console.error("usage: node check.mjs FOLDER PEER");
  process.exit(1);
}
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
if (names.length === 0) {
  console.error(`there is no .json in ${folder}`);
  process.exit(1);
}
const modules = resolve(peer, "node_modules");
const work = mkdtempSync(join(tmpdir(), "slack-types-"));
try {
  for (const name of names) {
    // As a literal, so that a field which the type does not have is an error, too.
    const view = JSON.parse(readFileSync(join(folder, name), "utf8"));
    const [type, value] = view.type === "modal" ? ["ModalView", view] : ["KnownBlock[]", view.blocks];
    const source = `import type { KnownBlock, ModalView } from "@slack/types";
export type Known = KnownBlock | ModalView;
export const view: ${type} = ${JSON.stringify(value, null, 2)};
`;
    writeFileSync(join(work, name.replace(/\.json$/, ".ts")), source);
  }
  const config = {
    compilerOptions: {
      strict: true,
      noEmit: true,
      module: "esnext",
      moduleResolution: "bundler",
      target: "es2022",
      types: [],
      paths: { "@slack/types": [join(modules, "@slack/types")] },
    },
    include: ["*.ts"],
  };
  writeFileSync(join(work, "tsconfig.json"), JSON.stringify(config));
  const compiler = join(modules, "typescript", "bin", "tsc");
  const done = spawnSync(process.execPath, [compiler, "--project", work], { stdio: "inherit" });
  console.log(`${names.length} judged, ${done.status === 0 ? "none" : "some"} refused`);
  process.exitCode = done.status === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
