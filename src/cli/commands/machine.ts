import type { Command } from "../command.ts";
import { JSON_OPTION } from "./options.ts";

/** What looks at this machine. */
export const MACHINE_COMMANDS: readonly Command[] = [
  {
    name: "doctor",
    positionals: "",
    summary: "Says what works on this machine, and what to do about what does not.",
    options: {
      model: {
        type: "string",
        value: "moshi:NAME",
        help: "instead: whether the adapter holds the frame rate of a released model or of a folder's config.json",
      },
      weights: { type: "string", value: "FORMAT", help: "with --model: f16, q8, q4 or f32 alone" },
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../doctor.ts")).doctor(invocation),
  },
  {
    name: "devices",
    positionals: "",
    summary: "Lists the devices of this machine, what is wrong with them, and the command that mends it.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../devices.ts")).devices(invocation),
  },
  {
    name: "board",
    positionals: "[PATH]",
    summary: "Runs a fake robot on a serial port of its own, /tmp/microturn-board if PATH is absent.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("../board.ts")).board(invocation),
  },
];
