import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { writeWhole } from "../core/output.ts";
import { LOCK_PATH, lockFolder, lockName, readLock, SHIPPED_MODEL, verifyFolder } from "./checkpoints.ts";
import { type Invocation, requiredArgument } from "./command.ts";

const ROOT = resolve(SHIPPED_MODEL, "../../..");

/** `microturn models ls` */
export async function modelsLs({ values, io }: Invocation): Promise<number> {
  const rows = Object.entries(await readLock()).map(([name, files]) => ({
    name,
    sizeBytes: Object.values(files).reduce((total, { sizeBytes }) => total + sizeBytes, 0),
    files: Object.keys(files),
  }));
  if (values.json === true) {
    for (const row of rows) io.out(`${JSON.stringify(row)}\n`);
    return EXIT.ok;
  }
  for (const { name, sizeBytes, files } of rows) {
    io.out(`${name.padEnd(28)} ${(sizeBytes / 1e6).toFixed(1).padStart(7)} MB  ${files.join(", ")}\n`);
  }
  return EXIT.ok;
}

/** `microturn models verify`: exit status 78 if a shipped file is missing or another. */
export async function modelsVerify({ values, io }: Invocation): Promise<number> {
  let wrong = 0;
  for (const [name, files] of Object.entries(await readLock())) {
    for (const { file, state } of await verifyFolder(join(ROOT, name), files)) {
      if (state !== "right") wrong++;
      const line =
        values.json === true
          ? JSON.stringify({ model: name, file, state })
          : `${state.padEnd(14)} ${name}/${file}`;
      io.out(`${line}\n`);
    }
  }
  if (wrong > 0)
    io.err(`microturn: ${wrong} file(s) differ from the model lock. Restore them with git checkout models\n`);
  return wrong > 0 ? EXIT.configuration : EXIT.ok;
}

/** `microturn models lock DIR` */
export async function modelsLock(invocation: Invocation): Promise<number> {
  const directory = resolve(requiredArgument(invocation, "models lock", "DIR"));
  const name = lockName(directory);
  const isFolder = await stat(directory).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (!isFolder || name.startsWith("..")) {
    throw new RuntimeError("invalid-argument", {
      part: "models lock",
      problem: `${directory} is not a folder of this project`,
      remedy: "Give a folder below models/",
    });
  }
  const files = await lockFolder(directory);
  const lock = { ...(await readLock()), [name]: files };
  await writeWhole(LOCK_PATH, `${JSON.stringify(lock, null, 2)}\n`);
  const { io, values } = invocation;
  io.out(
    values.json === true
      ? `${JSON.stringify({ name, files })}\n`
      : `${name}: ${Object.keys(files).length} files locked\n`,
  );
  return EXIT.ok;
}
