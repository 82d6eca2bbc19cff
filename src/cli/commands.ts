import { DEFAULT_SCREEN_ADDRESS } from "../../devices/screen/address.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Command, OptionSpec } from "./command.ts";
import { REASONER_DETAILS } from "./reasoner-help.ts";
import { DEFAULT_SERVE_ADDRESS, SERVE_DETAILS } from "./serve-help.ts";

const JSON_OPTION = {
  json: { type: "boolean", help: "one JSON object (a line) on stdout and nothing else" },
} as const;

const MODEL_OPTIONS = {
  backend: { type: "string", value: "auto|gpu|cpu", help: "auto takes the GPU if it is real hardware" },
  model: {
    type: "string",
    value: "DIR",
    help: "checkpoint folder, or moshi:DIR for the Moshi family; the shipped model if absent",
  },
  weights: { type: "string", value: "as-stored|f32|f16|q8|q4", help: "how the large matrices are held" },
  seed: { type: "string", value: "N", help: "seed for sampling" },
} satisfies Record<string, OptionSpec>;

const RUN_OPTIONS = {
  camera: { type: "string", value: "SRC", help: "file:PATH, v4l2:PATH, gst:PIPELINE or none" },
  microphone: {
    type: "string",
    value: "SRC",
    help: "file:PATH, pulse:NAME, alsa:NAME, pipewire:NAME or none; NAME may be default",
  },
  text: { type: "string", value: '"SECONDS:TEXT"', multiple: true, help: "types TEXT at that session time" },
  speaker: {
    type: "string",
    value: "SINK",
    help: "file:PATH.wav, pulse:NAME, alsa:NAME, pipewire:NAME or none",
  },
  voice: { type: "string", value: "VOICE", help: "espeak, espeak:LANGUAGE or fake" },
  echo: {
    type: "string",
    value: "cancel|system|off",
    help: "what keeps a live microphone from hearing a live speaker; cancel if absent",
  },
  clock: { type: "string", value: "real|virtual", help: "virtual runs as fast as the machine can" },
  ...MODEL_OPTIONS,
  duration: { type: "string", value: "SECONDS", help: "ends the session at the latest then" },
  report: { type: "string", value: "FILE.html", help: "writes the timeline as one page" },
  screen: {
    type: "string",
    value: "[HOST:PORT]",
    optional: { otherwise: DEFAULT_SCREEN_ADDRESS, looksLike: /^(?!-|.*\.ya?ml$)./ },
    help: `shows the session on a local page, ${DEFAULT_SCREEN_ADDRESS} if no address is given`,
  },
  "health-port": {
    type: "string",
    value: "PORT",
    help: "/metrics, /healthz and /readyz on loopback; 0 takes any free port",
  },
  "record-limit": {
    type: "string",
    value: "MB",
    help: "bound of a recording's files together, 4000 if absent; the oldest go first",
  },
  ...JSON_OPTION,
} satisfies Record<string, OptionSpec>;

/**
 * Every command. Their modules are loaded when they run: `--help` answers at once, and `doctor` can say which
 * package does not load.
 */
export const COMMANDS: readonly Command[] = [
  {
    name: "run",
    positionals: "[PROFILE.yaml]",
    summary: "Runs a session: sees, hears and speaks until its sources end.",
    options: {
      ...RUN_OPTIONS,
      record: { type: "string", value: "FILE.mcap", help: "records the session, to be replayed exactly" },
    },
    run: async (invocation) => (await import("./run.ts")).run(invocation),
  },
  {
    name: "record",
    positionals: "[PROFILE.yaml]",
    summary: "Runs a session and records it: run --record under a name of its own.",
    options: {
      ...RUN_OPTIONS,
      out: { type: "string", value: "FILE.mcap", help: "where to; there must be no such file yet" },
    },
    run: async (invocation) => (await import("./record.ts")).record(invocation),
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
    run: async (invocation) => (await import("./replay.ts")).replayRecording(invocation),
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
    run: async (invocation) => (await import("./demo.ts")).demo(invocation),
  },
  {
    name: "eval reps",
    positionals: "DIR",
    summary: "Counts the repetitions of every clip of DIR/manifest.json and scores what was said, and when.",
    options: {
      text: { type: "string", value: "TEXT", help: 'what is typed at the start; "count my reps" if absent' },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("./eval/reps.ts")).evalReps(invocation),
  },
  {
    name: "eval voice",
    positionals: "DIR",
    summary: "Speaks while every clip of DIR/manifest.json is heard, and scores the giving way.",
    options: {
      text: { type: "string", value: "TEXT", help: "what is typed at the start, to get a long answer" },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("./eval/voice.ts")).evalVoice(invocation),
  },
  {
    name: "eval scenarios",
    positionals: "DIR",
    summary: "Runs every scene of DIR (*.json) and scores counts, timed speech and answers.",
    options: { ...MODEL_OPTIONS, ...JSON_OPTION },
    run: async (invocation) => (await import("./eval/scenarios.ts")).evalScenarios(invocation),
  },
  {
    name: "bench",
    positionals: "",
    summary: "Measures the model's step time on this machine, in real time.",
    options: {
      duration: { type: "string", value: "SECONDS", help: "how long to measure; 30 if absent" },
      ...MODEL_OPTIONS,
      ...JSON_OPTION,
    },
    run: async (invocation) => (await import("./bench.ts")).bench(invocation),
  },
  {
    name: "parity",
    positionals: "DIR",
    summary: "Compares the Moshi family's kernels with the original's outputs, for every set in DIR.",
    options: {
      weights: {
        type: "string",
        value: "f32|f16|q8|q4",
        help: "how the language model's matrices are held; f32 if absent, the others are reported, not judged",
      },
      backend: { type: "string", value: "gpu", help: "there is no other one yet" },
      ...JSON_OPTION,
    },
    details:
      "A set is a folder with config.json, model.safetensors and outputs of the original implementation, such as\n" +
      "teacher_forced.safetensors, or with mimi_config.json and io.safetensors. Exit status 1: past a tolerance.\n",
    run: async (invocation) => (await import("./parity.ts")).parity(invocation),
  },
  {
    name: "reasoner",
    positionals: "",
    summary: "Runs a worker that takes tasks from devices over MQTT and has a language model do them.",
    options: {
      broker: { type: "string", value: "URL", help: "mqtts://HOST:8883 or mqtt://HOST:1883" },
      ca: {
        type: "string",
        value: "FILE",
        help: "PEM of the broker's authority; the system's own if absent",
      },
      cert: { type: "string", value: "FILE", help: "PEM of a client certificate" },
      key: { type: "string", value: "FILE", help: "PEM of its key" },
      group: {
        type: "string",
        value: "NAME",
        help: "workers of a group share the tasks; reasoners if absent",
      },
      concurrency: { type: "string", value: "N", help: "tasks at a time; 8 if absent" },
      lease: {
        type: "string",
        value: "SECONDS",
        help: "silence after which it counts as dead; 15 if absent",
      },
      drain: { type: "string", value: "SECONDS", help: "time to finish when told to stop; 30 if absent" },
      "health-port": {
        type: "string",
        value: "PORT",
        help: "/healthz, /readyz and /metrics on loopback; 0 takes any free port",
      },
      ...JSON_OPTION,
    },
    details: REASONER_DETAILS,
    run: async (invocation) => (await import("./reasoner.ts")).reasoner(invocation),
  },
  {
    name: "serve",
    positionals: "[PROFILE.yaml]",
    summary: "Gives a full-duplex model to clients of the Moshi server's protocol, one at a time.",
    options: {
      model: {
        type: "string",
        value: "moshi:DIR|fake",
        help: "checkpoint of the Moshi family; fake repeats what it hears",
      },
      weights: MODEL_OPTIONS.weights,
      seed: MODEL_OPTIONS.seed,
      address: {
        type: "string",
        value: "HOST:PORT",
        help: `where to listen; ${DEFAULT_SERVE_ADDRESS} if absent`,
      },
      queue: { type: "string", value: "N", help: "clients that may wait; 0 if absent: others are refused" },
      token: {
        type: "string",
        value: "TOKEN",
        help: "wanted of every client, on any address but loopback",
      },
      origin: {
        type: "string",
        value: "URL",
        multiple: true,
        help: "pages of this origin may connect too, as http://localhost:5173",
      },
      idle: { type: "string", value: "SECONDS", help: "a client without sound is let go; 60 if absent" },
      ...JSON_OPTION,
    },
    details: SERVE_DETAILS,
    run: async (invocation) => (await import("./serve.ts")).serve(invocation),
  },
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
    run: async (invocation) => (await import("./doctor.ts")).doctor(invocation),
  },
  {
    name: "devices",
    positionals: "",
    summary: "Lists the devices of this machine, what is wrong with them, and the command that mends it.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./devices.ts")).devices(invocation),
  },
  {
    name: "board",
    positionals: "[PATH]",
    summary: "Runs a fake robot on a serial port of its own, /tmp/microturn-board if PATH is absent.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./board.ts")).board(invocation),
  },
  {
    name: "models ls",
    positionals: "",
    summary: "Lists the checkpoints that ship.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./models.ts")).modelsLs(invocation),
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
    run: async (invocation) => (await import("./models-pull.ts")).modelsPull(invocation),
  },
  {
    name: "models quantize",
    positionals: "SRC DST",
    summary: "Writes a copy of a Moshi-family checkpoint with the matrices of its layers in blocks of 32.",
    options: {
      weights: { type: "string", value: "q8|q4", help: "8 or 4 bits an element, and a scale for each block" },
      ...JSON_OPTION,
    },
    details: "Example: microturn models quantize moshiko moshiko-q8 --weights q8\n",
    run: async (invocation) => (await import("./models-quantize.ts")).modelsQuantize(invocation),
  },
  {
    name: "models verify",
    positionals: "",
    summary: "Compares the shipped checkpoints with the SHA-256 digests of the model lock.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./models.ts")).modelsVerify(invocation),
  },
  {
    name: "models lock",
    positionals: "DIR",
    summary: "Writes a checkpoint folder's sizes and digests into the model lock, after a retraining.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./models.ts")).modelsLock(invocation),
  },
  {
    name: "config check",
    positionals: "PROFILE.yaml",
    summary: "Checks a profile.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./config.ts")).configCheck(invocation),
  },
  {
    name: "config print",
    positionals: "[PROFILE.yaml]",
    summary: "Prints a profile with every default filled in.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./config.ts")).configPrint(invocation),
  },
  {
    name: "config schema",
    positionals: "",
    summary: "Prints the JSON Schema of a profile, for editors.",
    options: JSON_OPTION,
    run: async (invocation) => (await import("./config.ts")).configSchema(invocation),
  },
];

/**
 * The command that the first words name, and what follows them.
 * @throws RuntimeError "invalid-argument" if there is none.
 */
export function findCommand(argv: readonly string[]): { command: Command; rest: readonly string[] } {
  for (const words of [2, 1]) {
    const name = argv.slice(0, words).join(" ");
    const command = COMMANDS.find((candidate) => candidate.name === name);
    if (command) return { command, rest: argv.slice(words) };
  }
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${argv[0]} `)).map(({ name }) => name);
  throw new RuntimeError("invalid-argument", {
    part: "microturn",
    problem: group.length > 0 ? `'${argv[0]}' needs one more word` : `there is no command '${argv[0]}'`,
    remedy: group.length > 0 ? `Say ${group.join(" or ")}` : "See microturn --help",
  });
}
