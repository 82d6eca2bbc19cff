import { lookup } from "node:dns/promises";
import { BlockList, isIPv6 } from "node:net";
import { RuntimeError } from "../../src/core/errors.ts";

/** Where the screen listens if nothing else is said. */
export const DEFAULT_SCREEN_ADDRESS = "127.0.0.1:8420";

/** HOST:PORT, [IPV6]:PORT or PORT alone. */
export const SCREEN_ADDRESS = /^(?:(?:\[([\da-fA-F:.]+)\]|([^\s:/[\]]+)):)?(\d{1,5})$/;

/** Where a server listens. */
export interface ScreenAddress {
  /** As the person gave it: a name or an IP address. */
  host: string;
  /** The IP address that it stands for. */
  ip: string;
  /** 0: any free one. */
  port: number;
  /** True if only this machine can reach it. */
  isLoopback: boolean;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** True for an IP address that only the machine itself can reach, IPv4 mapped into IPv6 included. */
export function isLoopback(ip: string): boolean {
  return loopback.check(ip, isIPv6(ip) ? "ipv6" : "ipv4");
}

/**
 * Reads HOST:PORT and finds out what the host stands for.
 * @throws RuntimeError "invalid-argument" for another form, "device-unavailable" for a host that is not known.
 */
export async function screenAddress(text: string): Promise<ScreenAddress> {
  const match = SCREEN_ADDRESS.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new RuntimeError("invalid-argument", {
      part: "screen",
      problem: `'${text}' is not HOST:PORT`,
      remedy: `Write for example ${DEFAULT_SCREEN_ADDRESS}, or none for no screen`,
    });
  }
  const host = (match[1] ?? match[2] ?? "127.0.0.1").toLowerCase();
  try {
    const { address: ip } = await lookup(host);
    return { host, ip, port, isLoopback: isLoopback(ip) };
  } catch (cause) {
    throw new RuntimeError("device-unavailable", {
      part: "screen",
      problem: `this machine does not know the host '${host}'`,
      remedy: "Give an address of this machine, or 127.0.0.1",
      cause,
    });
  }
}

/** The address as it stands in a URL. */
export function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}
