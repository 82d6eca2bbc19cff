import type { Command } from "../command.ts";
import { REASONER_DETAILS } from "../reasoner-help.ts";
import { DEFAULT_SERVE_ADDRESS, SERVE_DETAILS } from "../serve-help.ts";
import { JSON_OPTION, MODEL_OPTIONS } from "./options.ts";

/** What runs for others until it is stopped. */
export const SERVICE_COMMANDS: readonly Command[] = [
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
    run: async (invocation) => (await import("../reasoner.ts")).reasoner(invocation),
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
    run: async (invocation) => (await import("../serve.ts")).serve(invocation),
  },
];
