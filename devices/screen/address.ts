import { type ListenAddress, listenAddress } from "../../src/net/listen.ts";

/** Where the screen listens if nothing else is said. */
export const DEFAULT_SCREEN_ADDRESS = "127.0.0.1:8420";

/**
 * Reads HOST:PORT and finds out what the host stands for.
 * @throws RuntimeError "invalid-argument" for another form, "device-unavailable" for a host that is not known.
 */
export function screenAddress(text: string): Promise<ListenAddress> {
  return listenAddress(text, "screen", `Write for example ${DEFAULT_SCREEN_ADDRESS}, or none for no screen`);
}
