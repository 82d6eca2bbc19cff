import { z } from "zod";
import { RuntimeError } from "../../core/errors.ts";
import type { EndpointConfig } from "./http-endpoint.ts";

/** Where the endpoint is told: the key must not stand in a command line, which every user of the machine can read. */
export const ENVIRONMENT = {
  MICROTURN_REASONER_URL: "base URL of an OpenAI-compatible API, such as https://api.example.com/v1",
  MICROTURN_REASONER_MODEL: "name of the model there",
  MICROTURN_REASONER_KEY: "its API key, if it wants one",
} as const;

type Variable = keyof typeof ENVIRONMENT;

const DEFAULTS = {
  firstByteMs: 60_000,
  idleMs: 60_000,
  maxResponseBytes: 4 * 2 ** 20,
  maxEventChars: 256 * 1024,
  backoff: { maxAttempts: 6, firstMs: 500, maxMs: 20_000 },
} as const;

const baseUrl = z.url({ protocol: /^https?$/ }).transform((text) => new URL(text));

/** @throws RuntimeError "invalid-configuration" naming the variable; its value is never repeated. */
export function endpointConfig(environment: Readonly<Record<string, string | undefined>>): EndpointConfig {
  const value = (name: Variable): string | undefined => environment[name]?.trim() || undefined;
  const url = baseUrl.safeParse(value("MICROTURN_REASONER_URL"));
  if (!url.success) {
    throw unusable(
      "MICROTURN_REASONER_URL",
      value("MICROTURN_REASONER_URL") ? "is no http(s) URL" : "is not set",
    );
  }
  if (url.data.username !== "" || url.data.password !== "") {
    throw unusable(
      "MICROTURN_REASONER_URL",
      "holds a user or password; give the key in MICROTURN_REASONER_KEY",
    );
  }
  const model = value("MICROTURN_REASONER_MODEL");
  if (model === undefined) throw unusable("MICROTURN_REASONER_MODEL", "is not set");
  const key = value("MICROTURN_REASONER_KEY") ?? null;
  if (key !== null && !/^[\x21-\x7e]+$/.test(key)) {
    throw unusable("MICROTURN_REASONER_KEY", "holds a character that no HTTP header may carry");
  }
  return { ...DEFAULTS, baseUrl: url.data, model, key };
}

/** True if the key would cross a network unencrypted. */
export function keyTravelsInClear({ baseUrl: { protocol, hostname }, key }: EndpointConfig): boolean {
  return key !== null && protocol === "http:" && !isLoopback(hostname);
}

/** True if what is sent to `hostname`, as a URL has it, stays on this machine. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

function unusable(name: Variable, problem: string): RuntimeError {
  return new RuntimeError("invalid-configuration", {
    part: name,
    problem,
    remedy: `Set it in the environment: ${ENVIRONMENT[name]}`,
  });
}
