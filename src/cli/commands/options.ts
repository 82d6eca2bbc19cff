import { DEFAULT_SCREEN_ADDRESS } from "../../../devices/screen/address.ts";
import type { OptionSpec } from "../command.ts";

/** Of every command. */
export const JSON_OPTION = {
  json: { type: "boolean", help: "one JSON object (a line) on stdout and nothing else" },
} as const;

/** Of every command that loads a model. */
export const MODEL_OPTIONS = {
  backend: { type: "string", value: "auto|gpu|cpu", help: "auto takes the GPU if it is real hardware" },
  model: {
    type: "string",
    value: "DIR",
    help: "checkpoint folder, or moshi:DIR for the Moshi family; the shipped model if absent",
  },
  weights: { type: "string", value: "as-stored|f32|f16|q8|q4", help: "how the large matrices are held" },
  seed: { type: "string", value: "N", help: "seed for sampling" },
} satisfies Record<string, OptionSpec>;

/** Of `run` and `record`. */
export const RUN_OPTIONS = {
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
  voice: { type: "string", value: "VOICE", help: "espeak, espeak:LANGUAGE, moshi:FOLDER or fake" },
  echo: {
    type: "string",
    value: "cancel|system|off",
    help: "what keeps a live microphone from hearing a live speaker; cancel if absent",
  },
  clock: { type: "string", value: "real|virtual", help: "virtual runs as fast as the machine can" },
  ...MODEL_OPTIONS,
  duration: { type: "string", value: "SECONDS", help: "ends the session at the latest then" },
  report: { type: "string", value: "FILE.html", help: "writes the timeline as one page" },
  captions: {
    type: "string",
    value: "FILE.vtt",
    help: "writes the words that sounded, and those that speech to text heard, as WebVTT",
  },
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
