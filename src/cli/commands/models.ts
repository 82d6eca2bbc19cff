import type { Command } from "../command.ts";
import { JSON_OPTION } from "./options.ts";

/** Checkpoints. */
export const MODEL_COMMANDS: readonly Command[] = [
  {
    name: "models ls",
    positionals: "",
    summary: "Lists the checkpoints that ship.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../models.ts")).modelsLs(invocation),
  },
  {
    name: "models pull",
    positionals: "OWNER/NAME",
    summary:
      "Brings a checkpoint from the Hugging Face hub to this machine, and locks it to its commit and digests.",
    options: {
      revision: {
        type: "string",
        value: "REV",
        help: "branch, tag or commit; default: what the folder is locked to, else main",
      },
      to: { type: "string", value: "DIR", help: "default: ~/.cache/microturn/models/OWNER/NAME" },
      offline: { type: "boolean", help: "only compare what stands there with its lock" },
      ...JSON_OPTION,
    },
    details:
      "Environment: HF_ENDPOINT names another hub, HF_TOKEN an access token, HF_HUB_OFFLINE=1 means --offline.\n" +
      "Example: microturn models pull kyutai/stt-1b-en_fr\n",
    run: async (invocation) => (await import("../models-pull.ts")).modelsPull(invocation),
  },
  {
    name: "models quantize",
    positionals: "SRC DST",
    summary: "Writes a copy of a Moshi-family checkpoint with the matrices of its layers in blocks of 32.",
    options: {
      weights: { type: "string", value: "q8|q4", help: "8 or 4 bits an element, and a scale for each block" },
      parity: {
        type: "boolean",
        help: "also says how far the copy's logits are from the original's, if SRC is a set of microturn parity",
      },
      ...JSON_OPTION,
    },
    details: "Example: microturn models quantize moshiko moshiko-q8 --weights q8\n",
    run: async (invocation) => (await import("../models-quantize.ts")).modelsQuantize(invocation),
  },
  {
    name: "models verify",
    positionals: "",
    summary: "Compares the shipped checkpoints with the SHA-256 digests of the model lock.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../models.ts")).modelsVerify(invocation),
  },
  {
    name: "models lock",
    positionals: "DIR",
    summary: "Writes a checkpoint folder's sizes and digests into the model lock, after a retraining.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../models.ts")).modelsLock(invocation),
  },
];
