import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { RuntimeError } from "../core/errors.ts";

export interface HealthOptions {
  /** 0 takes any free port. */
  port: number;
  registry: Registry;
  /** Why the process cannot do its work now, or null. */
  unready(): string | null;
}

/**
 * Health over HTTP, on loopback only: /healthz (the process answers), /readyz (it can do its work), /metrics
 * (Prometheus).
 */
export class HealthServer {
  readonly port: number;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @throws RuntimeError "device-unavailable" if the port is taken. */
  static async start({ port, registry, unready }: HealthOptions): Promise<HealthServer> {
    const server = createServer(async (request, response) => {
      const { status, text, type } = await answerTo(
        request.method,
        request.url?.split("?")[0],
        registry,
        unready,
      );
      response.writeHead(status, {
        "content-type": type ?? "text/plain; charset=utf-8",
        "cache-control": "no-store",
      });
      response.end(text);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", (cause) => {
        reject(
          new RuntimeError("device-unavailable", {
            part: `health port ${port}`,
            problem: `cannot be opened: ${cause.message}`,
            remedy: "Give another port, or none",
            cause,
          }),
        );
      });
      server.listen(port, "127.0.0.1", resolve);
    });
    // It must not keep a process alive that is otherwise done.
    server.unref();
    return new HealthServer(server);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function answerTo(
  method: string | undefined,
  path: string | undefined,
  registry: Registry,
  unready: () => string | null,
): Promise<{ status: number; text: string; type?: string }> {
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "GET only\n" };
  if (path === "/healthz") return { status: 200, text: "ok\n" };
  if (path === "/readyz") {
    const reason = unready();
    return reason === null ? { status: 200, text: "ready\n" } : { status: 503, text: `${reason}\n` };
  }
  if (path === "/metrics") return { status: 200, text: await registry.metrics(), type: registry.contentType };
  return { status: 404, text: "/healthz, /readyz, /metrics\n" };
}
