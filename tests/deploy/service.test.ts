import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { EXIT } from "../../src/core/errors.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const path = join(root, "deploy/microturn.service");
const unit = readFileSync(path, "utf8");
const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

const setting = (key: string) => new RegExp(`^${key}=(.*)$`, "m").exec(unit)?.[1];

test("starts a command that there is, once it is ready, and not again after what does not mend itself", () => {
  const [program, name, profile] = setting("ExecStart")!.split(" ");
  expect(program).toBe(`${setting("WorkingDirectory")}/bin/microturn`);
  expect(COMMANDS.map((command) => command.name)).toContain(name);
  expect(unit).toContain(`#   ${profile}:`);
  expect(setting("RestartPreventExitStatus")).toBe(`${EXIT.usage} ${EXIT.configuration}`);
  expect(setting("Type")).toBe("notify");
  // The child that speaks for the loop is not the main process.
  expect(setting("NotifyAccess")).toBe("all");
});

test("keeps what is said out of the journal", () => {
  expect(setting("StandardOutput")).toBe("null");
});

test.skipIf(!hasSystemd)("is a unit that systemd takes (needs systemd-analyze)", () => {
  const folder = mkdtempSync(join(tmpdir(), "microturn-unit-"));
  const copy = join(folder, "microturn.service");
  // The program is looked for: here it stands in the checkout.
  writeFileSync(copy, unit.replaceAll("/opt/microturn", root.replace(/\/$/, "")));
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--recursive-errors=no", copy], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
