import { createHash, timingSafeEqual } from "node:crypto";
import { RuntimeError } from "../core/errors.ts";
import type { ListenAddress } from "./listen.ts";

/** 96 bits in base64, and far more than can be guessed over a network. */
const MIN_TOKEN_CHARS = 16;

/** The digest of a secret: what is kept and compared in its place. */
export function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Whether `given` is the text that `digest` is of. Both are digests of fixed length, so that the time tells nothing. */
export function isTextOf(digest: Buffer, given: string): boolean {
  return timingSafeEqual(digestOf(given), digest);
}

/**
 * The digest of the token that a server demands; null where it demands none, which only loopback may.
 *
 * @param server Names it in messages: "screen".
 * @param variable The environment variable that may hold the token.
 * @throws RuntimeError "invalid-configuration" if the address wants a token and there is none, or it is too short.
 */
export function demandedToken(
  server: string,
  address: ListenAddress,
  token: string | null,
  variable: string,
): Buffer | null {
  if (token === null ? !address.isLoopback : token.length < MIN_TOKEN_CHARS) {
    throw new RuntimeError("invalid-configuration", {
      part: `${server} ${address.host}`,
      problem:
        token === null
          ? "others than this machine can reach this address, and no token is set"
          : `the token holds ${token.length} characters, expected at least ${MIN_TOKEN_CHARS}`,
      remedy: `Set one, as with export ${variable}="$(openssl rand -hex 16)", or listen on 127.0.0.1`,
    });
  }
  return token === null ? null : digestOf(token);
}
