import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { attentionDispatches } from "../../kernels/attention/attention.ts";
import { MATRIX_BITS, type MatrixFormat } from "../../kernels/matrix.ts";
import { measureAdapter } from "../../models/moshi/adapter-speed.ts";
import { codecCost, codecUse } from "../../models/moshi/codec-cost.ts";
import { parseMoshiConfig } from "../../models/moshi/config.ts";
import { FRAME_MS } from "../../models/moshi/dialogue.ts";
import {
  type AdapterSpeed,
  addCosts,
  type FrameCost,
  frameCost,
  frameSeconds,
  realTimeFactor,
} from "../../models/moshi/fit.ts";
import { RELEASED_MODELS, type ReleasedModel, releasedModel } from "../../models/moshi/released.ts";
import { messageOf, RuntimeError } from "../core/errors.ts";
import { moshiFolder } from "./checkpoints.ts";
import type { Check } from "./doctor.ts";

/** What a checkpoint is usually held in. */
const FORMATS: readonly MatrixFormat[] = ["f16", "q8", "q4"];
const ALL_FORMATS = Object.keys(MATRIX_BITS) as MatrixFormat[];
/** The session and what else the machine does want their share of a frame. */
const COMFORTABLE = 0.9;

export interface FitOptions {
  /** `moshi:` and a folder with a config.json, a released model or its repository. */
  model: string;
  /** Only this format. */
  weights?: string | undefined;
}

/**
 * Whether this adapter holds the frame rate of a model of the Moshi family, format by format: by its shapes and what was
 * measured of the adapter, before there are any weights.
 *
 * @throws RuntimeError "invalid-argument" for a model or a format that is not known.
 */
export async function fitChecks({ model, weights }: FitOptions): Promise<Check[]> {
  const formats = weights === undefined ? FORMATS : [formatOf(weights)];
  const { config, crossLength } = await modelOf(model);
  try {
    // Only here: where the binding does not load, that is what is to be said.
    const { openGpu } = await import("../gpu/device.ts");
    const gpu = await openGpu();
    try {
      const counts = (shape: Parameters<typeof attentionDispatches>[1]) => attentionDispatches(gpu, shape);
      const codec = codecCost(codecUse(config), counts);
      const costs = formats.map((format) => {
        const held = { temporal: format, depth: format };
        const model = frameCost(config, { formats: held, crossLength, attentionDispatches: counts });
        return addCosts(model, codec);
      });
      const read = ALL_FORMATS.filter((format) => costs.some(({ weightBytes }) => weightBytes[format] > 0));
      const speed = await measureAdapter(gpu, read);
      const fits = costs.map((cost, i) => fitCheck(formats[i]!, cost, speed));
      return [adapterCheck(gpu.adapter.name, speed), ...fits];
    } finally {
      gpu.close();
    }
  } catch (error) {
    const remedy = "The family runs on a GPU alone: install its Vulkan driver (deploy/setup.sh)";
    return [{ name: "fit", state: "fault", detail: messageOf(error), remedy }];
  }
}

function adapterCheck(name: string, { copyBytesPerSecond, dispatchSeconds }: AdapterSpeed): Check {
  const copies = `copies ${gigabytes(copyBytesPerSecond)} GB/s`;
  return {
    name: "adapter",
    state: "ok",
    detail: `${name}: ${copies}, a dispatch costs ${(dispatchSeconds * 1e6).toFixed(1)} us`,
  };
}

function fitCheck(format: MatrixFormat, cost: FrameCost, speed: AdapterSpeed): Check {
  const seconds = frameSeconds(cost, speed);
  const ms = seconds * 1000;
  const bytes = Object.values(cost.weightBytes).reduce((sum, part) => sum + part, 0);
  const pace = speed.matmulBytesPerSecond[format];
  const share = Math.round((100 * pace) / speed.copyBytesPerSecond);
  const detail = [
    `${ms.toFixed(ms < 10 ? 1 : 0)} of ${FRAME_MS} ms a frame, ${realTimeFactor(seconds).toFixed(2)} times real time`,
    `${gigabytes(bytes)} GB of weights, the codec's included, ${format} at ${gigabytes(pace)} GB/s (${share} % of copying)`,
    `${gigabytes(cost.cacheBytes)} GB of memory of the past when the window is full`,
    `${cost.dispatches} dispatches`,
    `${gigabytes(cost.memoryBytes)} GB on the device`,
  ].join("; ");
  const name = `fit ${format}`;
  if (ms <= COMFORTABLE * FRAME_MS) return { name, state: "ok", detail };
  const problem = ms <= FRAME_MS ? "leaves little for the session" : "does not hold its frame rate";
  const remedy = "Use a smaller model, fewer bits or a shorter window";
  return { name, state: "warning", detail: `${problem}: ${detail}`, remedy };
}

function formatOf(weights: string): MatrixFormat {
  if (Object.hasOwn(MATRIX_BITS, weights)) return weights as MatrixFormat;
  throw new RuntimeError("invalid-argument", {
    part: "doctor",
    problem: `--weights ${weights} is not known`,
    remedy: `Use ${Object.keys(MATRIX_BITS).join(", ")}`,
  });
}

async function modelOf(spec: string): Promise<ReleasedModel> {
  const name = moshiFolder(spec) ?? "";
  const released = releasedModel(name);
  if (released) return released;
  const path = join(name, "config.json");
  const json = name === "" ? null : await readFile(path, "utf8").catch(() => null);
  if (json === null) {
    throw new RuntimeError("invalid-argument", {
      part: "doctor",
      problem: `--model ${spec} is no model of the Moshi family`,
      remedy: `Use moshi: and a folder with a config.json, or ${RELEASED_MODELS.join(", ")}`,
    });
  }
  return { config: parseMoshiConfig(json, path), crossLength: 0 };
}

function gigabytes(bytes: number): string {
  const giga = bytes / 1e9;
  return giga.toFixed(giga < 10 ? 2 : 0);
}
