import { once } from "node:events";
import { EXIT, RuntimeError } from "../core/errors.ts";
import { TOKEN_VARIABLE } from "../serve/access.ts";
import { FakeEngine } from "../serve/fake-engine.ts";
import { ModelServer, type ServeEvent } from "../serve/server.ts";
import type { DuplexEngine } from "../serve/session.ts";
import { type Invocation, type Io, numberOption, stringOption, stringOptions } from "./command.ts";
import { DEFAULT_SERVE_ADDRESS } from "./serve-help.ts";

/** A queue that is longer than this serves nobody: each waits for a whole conversation. */
const MAX_QUEUE = 100;
const MAX_IDLE_SECONDS = 86_400;

/** `microturn serve`: gives the model to clients of the Moshi server's protocol, one at a time, until Ctrl-C. */
export async function serve(
  { values, io }: Invocation,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const queue = numberOption(values, "queue", { min: 0, max: MAX_QUEUE, integer: true }) ?? 0;
  const idleSeconds = numberOption(values, "idle", { min: 1, max: MAX_IDLE_SECONDS });
  const engine = await openEngine(stringOption(values, "model") ?? "");
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

/** @throws RuntimeError "invalid-argument" for a model that cannot be served. */
async function openEngine(model: string): Promise<DuplexEngine> {
  if (model === "fake") return new FakeEngine();
  throw new RuntimeError("invalid-argument", {
    part: "--model",
    problem: model === "" ? "is missing" : `'${model}' is none that can be served`,
    remedy: "Say fake, for a model that repeats what it hears",
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
