import { execFile } from "node:child_process";
import { freemem, totalmem } from "node:os";
import { promisify } from "node:util";
import { EXIT, messageOf, RuntimeError } from "../core/errors.ts";
import { lockName, readLock, SHIPPED_MODEL, verifyFolder } from "./checkpoints.ts";
import type { Invocation } from "./command.ts";
import { deviceChecks } from "./devices.ts";

export interface Check {
  name: string;
  /** A fault keeps a session from running; with a warning something of it is missing. */
  state: "ok" | "warning" | "fault";
  detail: string;
  remedy?: string;
}

/** Sessions of the shipped model take about a third of this, most of it for the packages. */
const ENOUGH_MEMORY_MB = 600;

/** The first line that a program prints about itself; throws what execFile throws. */
async function firstLine(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(command, [...args], { timeout: 10_000 });
  return stdout.split("\n")[0]!.trim();
}

async function programCheck(
  name: string,
  command: string,
  args: readonly string[],
  lost: string,
): Promise<Check> {
  try {
    return { name, state: "ok", detail: await firstLine(command, args) };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return {
      name,
      state: "warning",
      detail: `${command} ${missing ? "is not installed" : `does not run: ${(error as Error).message.split("\n")[0]}`}: ${lost}`,
      remedy: "Run sh deploy/setup.sh as root, or install the package",
    };
  }
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const enough = major > 20 || (major === 20 && minor >= 11);
  const check = { name: "node", detail: `${process.version} ${process.platform}-${process.arch}` };
  return enough
    ? { ...check, state: "ok" }
    : { ...check, state: "fault", remedy: "Install Node.js 20.11 or newer" };
}

async function gpuCheck(): Promise<Check> {
  try {
    const { openGpu } = await import("../gpu/device.ts");
    const gpu = await openGpu();
    const { name, isSoftware } = gpu.adapter;
    const features = [...gpu.features].join(", ");
    gpu.close();
    if (!isSoftware) return { name: "gpu", state: "ok", detail: `${name} (hardware; ${features})` };
    return {
      name: "gpu",
      state: "ok",
      detail: `${name} (software; ${features}): right for tests, slower than the CPU backend`,
    };
  } catch (error) {
    return {
      name: "gpu",
      state: "warning",
      detail: messageOf(error),
      remedy:
        "Run sh deploy/setup.sh as root; for a real GPU install its Vulkan driver and join the group render",
    };
  }
}

async function cpuCheck(): Promise<Check> {
  try {
    const { env } = await import("onnxruntime-node");
    return {
      name: "cpu",
      state: "ok",
      detail: `onnxruntime-node ${env.versions.node ?? env.versions.common}`,
    };
  } catch (error) {
    const detail = `onnxruntime-node does not load: ${messageOf(error)}`;
    return { name: "cpu", state: "fault", detail, remedy: "Run npm ci again" };
  }
}

function memoryCheck(): Check {
  const freeMb = Math.round(freemem() / 2 ** 20);
  const detail = `${freeMb} MiB free of ${Math.round(totalmem() / 2 ** 20)}`;
  if (freeMb >= ENOUGH_MEMORY_MB) return { name: "memory", state: "ok", detail };
  return {
    name: "memory",
    state: "warning",
    detail: `${detail}; a session wants about ${ENOUGH_MEMORY_MB}`,
    remedy: "Stop other programs or use --weights q8",
  };
}

async function checkpointCheck(): Promise<Check> {
  const name = "checkpoint";
  try {
    const locked = (await readLock())[lockName(SHIPPED_MODEL)];
    if (locked === undefined) {
      const detail = "the model lock knows no shipped checkpoint";
      return { name, state: "fault", detail, remedy: "Check the project out again" };
    }
    const wrong = (await verifyFolder(SHIPPED_MODEL, locked)).filter(({ state }) => state !== "right");
    if (wrong.length === 0) {
      return { name, state: "ok", detail: `${lockName(SHIPPED_MODEL)}: every SHA-256 as in the model lock` };
    }
    const detail = wrong.map(({ file, state }) => `${file}: ${state}`).join(", ");
    return { name, state: "fault", detail, remedy: "Restore it with git checkout models" };
  } catch (error) {
    return { name, state: "fault", detail: messageOf(error) };
  }
}

/** Loads the shipped model as a session would and says which backend it took, and why. */
async function backendCheck(): Promise<Check> {
  try {
    const { shippedParts } = await import("./parts.ts");
    const { profileOf } = await import("./profile-options.ts");
    const model = await shippedParts.loadModel(profileOf({}));
    const { backend, adapter, reason } = model.description;
    await model.close();
    return { name: "backend", state: "ok", detail: `${backend} (${adapter}): ${reason}` };
  } catch (error) {
    const detail = messageOf(error);
    const remedy = error instanceof RuntimeError ? {} : { remedy: "Run npm ci again" };
    return { name: "backend", state: "fault", detail, ...remedy };
  }
}

/** Every check, in the order in which a person mends things. */
export async function examine(): Promise<Check[]> {
  return [
    nodeCheck(),
    memoryCheck(),
    await programCheck("ffmpeg", "ffmpeg", ["-version"], "no camera or microphone files"),
    await programCheck("ffprobe", "ffprobe", ["-version"], "no camera or microphone files"),
    await programCheck("voice", "espeak-ng", ["--version"], "no speech; --voice fake gives tones"),
    ...(await deviceChecks()),
    await gpuCheck(),
    await cpuCheck(),
    await checkpointCheck(),
    await backendCheck(),
  ];
}

const SIGNS = { ok: "ok     ", warning: "warning", fault: "FAULT  " } as const;

/** `microturn doctor`: exit status 69 if a session cannot run here. With a model of the Moshi family: whether that fits. */
export async function doctor({ values, io }: Invocation): Promise<number> {
  const { model, weights } = values as { model?: string; weights?: string };
  const checks =
    model === undefined
      ? await examine()
      : await (await import("./doctor-fit.ts")).fitChecks({ model, weights });
  for (const { name, state, detail, remedy } of checks) {
    if (values.json === true) {
      io.out(`${JSON.stringify({ name, state, detail, ...(remedy ? { remedy } : {}) })}\n`);
      continue;
    }
    io.out(`${SIGNS[state]}  ${name.padEnd(11)} ${detail}\n`);
    if (remedy && state !== "ok") io.out(`${" ".repeat(21)}-> ${remedy}\n`);
  }
  return checks.some(({ state }) => state === "fault") ? EXIT.unavailable : EXIT.ok;
}
