import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { lockFolder, readLock, verifyFolder } from "../../src/cli/checkpoints.ts";
import { main } from "../../src/cli/program.ts";
import { CapturedIo } from "./io.ts";
import { temporaryFolder } from "./media.ts";

const shipped = fileURLToPath(new URL("../../models/native/shipped", import.meta.url));

test("a lock finds every way in which a file can differ", async () => {
  const folder = temporaryFolder();
  for (const name of ["same", "longer", "changed", "gone"]) writeFileSync(join(folder, name), "abc");
  const lock = (await lockFolder(folder))!;
  // The SHA-256 of "abc" is the standard's own example (FIPS 180-2, B.1).
  expect(lock.same).toEqual({
    sizeBytes: 3,
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  });
  writeFileSync(join(folder, "longer"), "abcd");
  writeFileSync(join(folder, "changed"), "abd");
  const checks = await verifyFolder(folder, { ...lock, absent: lock.gone! });
  expect(Object.fromEntries(checks.map(({ file, state }) => [file, state]))).toEqual({
    same: "right",
    gone: "right",
    longer: "other size",
    changed: "other content",
    absent: "missing",
  });
});

test("the model lock knows every file of the shipped checkpoint", async () => {
  const locked = (await readLock())["models/native/shipped"];
  expect(Object.keys(locked ?? {}).sort(), "run: microturn models lock models/native/shipped").toEqual(
    readdirSync(shipped).sort(),
  );
  expect((await verifyFolder(shipped, locked!)).filter(({ state }) => state !== "right")).toEqual([]);
});

test("a lock that cannot be read names the file and the remedy", async () => {
  const path = join(temporaryFolder(), "model-lock.json");
  for (const text of ["", "{", '{"a": {"b": {"sizeBytes": -1, "sha256": "x"}}}']) {
    writeFileSync(path, text);
    await expect(readLock(path)).rejects.toMatchObject({ code: "invalid-checkpoint", exitCode: 78 });
  }
});

test("models lock refuses a folder that is not the project's", async () => {
  const outside = join(temporaryFolder(), "other");
  mkdirSync(outside);
  for (const directory of [outside, join(outside, "absent")]) {
    const io = new CapturedIo();
    expect(await main(["models", "lock", directory], io)).toBe(2);
    expect(io.stderr).toContain(directory);
  }
});

test("models ls and verify speak JSON", async () => {
  for (const command of ["ls", "verify"]) {
    const io = new CapturedIo();
    await main(["models", command, "--json"], io);
    expect(() => io.jsonLines()).not.toThrow();
  }
});
