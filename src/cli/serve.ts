import { once } from "node:events";
import type { Profile } from "../config/profile.ts";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { TOKEN_VARIABLE } from "../serve/access.ts";
import { FakeEngine } from "../serve/fake-engine.ts";
import { ModelServer, type ServeEvent } from "../serve/server.ts";
import type { DuplexEngine } from "../serve/session.ts";
import { moshiFolder } from "./checkpoints.ts";
import { type Invocation, type Io, numberOption, stringOption, stringOptions } from "./command.ts";
import { loadMoshi } from "./moshi.ts";
import { profileFrom } from "./profile-options.ts";
import { DEFAULT_SERVE_ADDRESS } from "./serve-help.ts";
import { ModelEngine } from "./serve-model.ts";

/** A queue that is longer than this serves nobody: each waits for a whole conversation. */
const MAX_QUEUE = 100;
const MAX_IDLE_SECONDS = 86_400;

/** `microturn serve`: gives the model to clients of the Moshi server's protocol, one at a time, until Ctrl-C. */
export async function serve(
  invocation: Invocation,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const { values, io } = invocation;
  const queue = numberOption(values, "queue", { min: 0, max: MAX_QUEUE, integer: true }) ?? 0;
  const idleSeconds = numberOption(values, "idle", { min: 1, max: MAX_IDLE_SECONDS });
  const engine = await openEngine(await profileFrom(invocation));
  try {
    const tell = narrator(io, values.json === true);
    const server = await ModelServer.open({
      address: stringOption(values, "address") ?? DEFAULT_SERVE_ADDRESS,
      token: stringOption(values, "token") ?? (environment[TOKEN_VARIABLE] || null),
      origins: stringOptions(values, "origin"),
      queue,
      engine,
      told: tell,
      ...(idleSeconds === undefined ? {} : { patience: { idleMs: idleSeconds * 1000 } }),
    });
    tell({ kind: "listening", url: server.url, model: engine.name });
    if (!io.signal.aborted) await once(io.signal, "abort");
    await server.close();
    return EXIT.ok;
  } finally {
    await engine.close();
  }
}

/**
 * Loads what the profile names.
 * @throws RuntimeError "invalid-argument" for a model that cannot be served; else see loadMoshi.
 */
async function openEngine(profile: Profile): Promise<DuplexEngine> {
  if (profile.model === "fake") return new FakeEngine();
  const folder = moshiFolder(profile.model);
  if (folder !== null) return new ModelEngine(await loadMoshi(folder, profile));
  throw new RuntimeError("invalid-argument", {
    part: "--model",
    problem: profile.model === undefined ? "is missing" : `'${profile.model}' is none that can be served`,
    remedy: "Say moshi:DIR for a model of the Moshi family, or fake for one that repeats what it hears",
  });
}

/** What happens, on stdout with --json and on stderr for a person. It never says what was said. */
function narrator(
  io: Io,
  json: boolean,
): (event: ServeEvent | { kind: "listening"; url: string; model: string }) => void {
  return (event) => {
    if (json) {
      const { account, ...rest } = { account: {}, ...event };
      io.out(`${JSON.stringify({ ...rest, ...account })}\n`);
      return;
    }
    switch (event.kind) {
      case "listening":
        io.err(`serve: ${event.model} at ${event.url}/api/chat; Ctrl-C stops\n`);
        break;
      case "began":
        io.err(`serve: ${event.client} has the session\n`);
        break;
      case "refused":
        io.err(`serve: ${event.client} was refused: ${event.reason}\n`);
        break;
      case "ended":
        io.err(`serve: ${event.client} has gone (${event.reason}): ${counted(event.account)}\n`);
        break;
      default:
        event satisfies never;
    }
  };
}

/** Time, steps and late steps always; of the rest, what there was. */
function counted({ seconds, steps, lateSteps, ...odd }: Readonly<Record<string, number>>): string {
  const told = Object.entries(odd).filter(([, count]) => count !== 0);
  return [
    `${seconds} s`,
    `${steps} steps`,
    `${lateSteps} late`,
    ...told.map(([name, count]) => `${name} ${count}`),
  ].join(", ");
}
