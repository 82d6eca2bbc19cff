import type { Command } from "../command.ts";
import { JSON_OPTION, MODEL_OPTIONS, RUN_OPTIONS } from "./options.ts";

/** Sessions: run, kept, replayed, shown. */
export const SESSION_COMMANDS: readonly Command[] = [
  {
    name: "run",
    positionals: "[PROFILE.yaml]",
    summary: "Runs a session: sees, hears and speaks until its sources end.",
    options: {
      ...RUN_OPTIONS,
      record: { type: "string", value: "FILE.mcap", help: "records the session, to be replayed exactly" },
    },
    run: async (invocation) => (await import("../run.ts")).run(invocation),
  },
  {
    name: "record",
    positionals: "[PROFILE.yaml]",
    summary: "Runs a session and records it: run --record under a name of its own.",
    options: {
      ...RUN_OPTIONS,
      out: { type: "string", value: "FILE.mcap", help: "where to; there must be no such file yet" },
    },
    run: async (invocation) => (await import("../record.ts")).record(invocation),
  },
  {
    name: "replay",
    positionals: "FILE.mcap",
    summary: "Gives the model what it was given in a recorded session, and compares what it says.",
    options: {
      diff: { type: "boolean", help: "shows the first difference whole" },
      backend: { type: "string", value: "auto|gpu|cpu", help: "that of the recording if absent" },
      model: { type: "string", value: "DIR", help: "checkpoint folder; that of the recording if absent" },
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../replay.ts")).replayRecording(invocation),
  },
  {
    name: "demo",
    positionals: "",
    summary: "Runs the bundled scene in real time and writes speech, captions and a report.",
    options: {
      out: { type: "string", value: "DIR", help: "folder for the results; out/demo if absent" },
      clock: { type: "string", value: "real|virtual", help: "virtual runs as fast as the machine can" },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("../demo.ts")).demo(invocation),
  },
];
