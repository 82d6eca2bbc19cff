import { lookup } from "node:dns/promises";
import { once } from "node:events";
import type { Server } from "node:http";
import { BlockList, isIP, isIPv6 } from "node:net";
import { hostname } from "node:os";
import type { Duplex } from "node:stream";
import { RuntimeError } from "../core/errors.ts";

/** HOST:PORT, [IPV6]:PORT or PORT alone. */
const LISTEN_ADDRESS = /^(?:(?:\[([\da-fA-F:.]+)\]|([^\s:/[\]]+)):)?(\d{1,5})$/;

/** Where a server listens. */
export interface ListenAddress {
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
 *
 * @param part who listens, for messages: "screen".
 * @param remedy what to do about another form, as a sentence.
 * @throws RuntimeError "invalid-argument" for another form, "device-unavailable" for a host that is not known.
 */
export async function listenAddress(text: string, part: string, remedy: string): Promise<ListenAddress> {
  const match = LISTEN_ADDRESS.exec(text.trim());
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new RuntimeError("invalid-argument", {
      part,
      problem: `'${text}' is not HOST:PORT`,
      remedy,
    });
  }
  const host = (match[1] ?? match[2] ?? "127.0.0.1").toLowerCase();
  try {
    const { address: ip } = await lookup(host);
    return { host, ip, port, isLoopback: isLoopback(ip) };
  } catch (cause) {
    throw new RuntimeError("device-unavailable", {
      part,
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

/**
 * Whether a Host header names this machine and nothing else. Any page that a browser has open could have its own name
 * point here (DNS rebinding) and would then pass for this server's own page.
 */
export function namesThisMachine(hostHeader: string | undefined, address: ListenAddress): boolean {
  const url = `http://${hostHeader ?? ""}`;
  const name = URL.canParse(url) ? new URL(url).hostname : "";
  const ip = name.replace(/^\[(.*)\]$/, "$1");
  if (name === "localhost" || name === address.host) return true;
  if (isIP(ip) !== 0) return isLoopback(ip) || !address.isLoopback;
  const ownName = hostname().toLowerCase();
  return !address.isLoopback && [ownName, `${ownName}.local`].includes(name);
}

/**
 * Listens.
 * @throws RuntimeError "device-unavailable" if the port is in use or may not be used.
 */
export async function listen(server: Server, address: ListenAddress, part: string): Promise<void> {
  try {
    server.listen(address.port, address.ip);
    await once(server, "listening");
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const [problem, remedy] = LISTEN_FAULTS[code] ?? [`cannot listen (${code})`, "Give another HOST:PORT"];
    throw new RuntimeError("device-unavailable", {
      part: `${part} ${urlHost(address.host)}:${address.port}`,
      problem,
      remedy,
      cause,
    });
  }
}

/** What errors of listen(2) mean here, and what to do. */
const LISTEN_FAULTS: Readonly<Record<string, readonly [string, string]>> = {
  EADDRINUSE: [
    "the port is in use",
    "Give another HOST:PORT, or end the program that listens there: ss -ltnp names it",
  ],
  EACCES: ["this user may not listen on the port", "Give a port from 1024 up"],
  EADDRNOTAVAIL: ["the host is no address of this machine", "Give one of its own, or 127.0.0.1"],
};

/** Answers a request for a WebSocket with a plain refusal, and ends the connection. */
export function refuseUpgrade(socket: Duplex, status: number, message: string): void {
  const body = `${message}\n`;
  socket.once("finish", () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${status} Refused\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
