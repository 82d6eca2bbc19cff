import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { messageOf } from "../core/errors.ts";
import { type Log, stderrLog } from "../core/log.ts";
import { type ListenAddress, listen, listenAddress, refuseUpgrade, urlHost } from "../net/listen.ts";
import { Access, type AccessOptions, type Refusal } from "./access.ts";
import { CLOSE, Client, type ClientAccount, type ClientOptions } from "./client.ts";
import { type ChatRequest, parseChatRequest } from "./query.ts";
import type { DuplexEngine } from "./session.ts";
import { prepareSound } from "./sound.ts";

/** Path of the WebSocket. */
const CHAT_PATH = "/api/chat";
/** One Ogg page is at most 65,307 bytes. */
const MAX_MESSAGE_BYTES = 131_072;
/** Browsers open some connections that they never use; each costs little. */
const SPARE_CONNECTIONS = 32;
const BEAT_MS = 5000;
const PATIENCE = { deadMs: 30_000, idleMs: 60_000, stalledMs: 10_000 };
/** At the end clients have this long to say goodbye, ms. */
const FAREWELL_MS = 1000;

/** What happens at the server, for its operator. */
export type ServeEvent =
  | { kind: "began"; client: string; waitedSeconds: number }
  | { kind: "ended"; client: string; reason: string; account: ClientAccount }
  | { kind: "refused"; client: string; reason: string };

export interface ServeOptions extends AccessOptions {
  /** HOST:PORT, [IPV6]:PORT or PORT. */
  address: string;
  /** Clients that may wait while one has the session; those beyond are refused. 0: none waits. */
  queue: number;
  engine: DuplexEngine;
  told?: (event: ServeEvent) => void;
  log?: Log;
  /** Defaults: 30 s without a sign of life, 60 s without sound, 10 s without reading. */
  patience?: Partial<Pick<ClientOptions, "deadMs" | "idleMs" | "stalledMs">>;
  /** How often connections are looked after, ms. Default 5 s. */
  beatMs?: number;
  /** Monotonic, any origin, ms. */
  nowMs?: () => number;
}

/** A connection and who it is. */
interface Guest {
  client: Client;
  /** IP address and port. */
  name: string;
  cameMs: number;
}

/**
 * Speaks the Moshi server's protocol (README.md) and gives the model to one client at a time, first come, first served.
 * No client, however slow, fast or broken, makes it hold more than a bounded amount, or keeps the model from its step.
 */
export class ModelServer {
  /** "http://127.0.0.1:8998" */
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #access: Access;
  readonly #options: ServeOptions;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #beat: NodeJS.Timeout;
  readonly #guests = new Set<Guest>();
  #waiting: Guest[] = [];
  /** The one that has the session, and what settles when nobody has it or waits for it. */
  #current: Guest | null = null;
  #serving: Promise<void> | null = null;
  #closing = false;

  /**
   * Listens.
   * @throws RuntimeError "device-unavailable" if the port is in use or may not be used, "invalid-argument" for a bad
   * address or origin, "invalid-configuration" if the address wants a token.
   */
  static async open(options: ServeOptions): Promise<ModelServer> {
    const address = await listenAddress(options.address, "serve", "Write for example 127.0.0.1:8998");
    const access = new Access(address, options);
    await prepareSound();
    const server = createServer({ headersTimeout: 5000, requestTimeout: 5000, maxHeaderSize: 32_768 });
    server.maxConnections = options.queue + 1 + SPARE_CONNECTIONS;
    await listen(server, address, "serve");
    return new ModelServer(options, address, access, server);
  }

  private constructor(options: ServeOptions, address: ListenAddress, access: Access, server: Server) {
    const { port } = server.address() as AddressInfo;
    this.url = `http://${urlHost(address.host)}:${port}`;
    this.#options = options;
    this.#access = access;
    this.#server = server;
    this.#log = options.log ?? stderrLog;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    server.on("request", (request, response) => answer(request, response));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    // Requests that are no HTTP, and connections that break: there is nobody to tell.
    server.on("clientError", (_, socket) => socket.destroy());
    this.#beat = setInterval(() => {
      for (const { client } of this.#guests) client.beat();
    }, options.beatMs ?? BEAT_MS).unref();
  }

  /** Clients that wait for the session. */
  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** Lets the clients go, waits until the session is closed, and frees the port. The engine stays open. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#beat);
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const { client } of this.#guests) client.letGo(STOPPING.code, STOPPING.reason);
    await this.#serving;
    this.#server.closeIdleConnections();
    const farewell = setTimeout(() => this.#server.closeAllConnections(), FAREWELL_MS);
    await closed;
    clearTimeout(farewell);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A connection that breaks: there is nobody to tell.
    socket.on("error", () => socket.destroy());
    const name = `${request.socket.remoteAddress}:${request.socket.remotePort}`;
    const [path, query] = pathAndQuery(request);
    const chat = path === CHAT_PATH ? this.#chatRequest(request, query) : NO_SUCH_PATH;
    if ("status" in chat) {
      refuseUpgrade(socket, chat.status, chat.message);
      this.#tell({ kind: "refused", client: name, reason: chat.message });
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      const client = new Client(accepted, {
        ...PATIENCE,
        ...this.#options.patience,
        request: chat,
        nowMs: this.#nowMs,
        failed: (error) => this.#log.write("error", "serve", `the model failed: ${messageOf(error)}`),
      });
      const guest = { client, name, cameMs: this.#nowMs() };
      this.#guests.add(guest);
      accepted.on("close", () => this.#guests.delete(guest));
      this.#admit(guest);
    });
  }

  /** What the client asks for, or why it does not get it. */
  #chatRequest(request: IncomingMessage, query: URLSearchParams): ChatRequest | Refusal {
    const refusal = this.#access.refusal(request, query);
    if (refusal !== null) return refusal;
    try {
      return parseChatRequest(query);
    } catch (error) {
      return { status: 400, message: messageOf(error) };
    }
  }

  /** Browsers cannot read why an upgrade was refused: a client that comes at the wrong time is told over the protocol. */
  #admit(guest: Guest): void {
    const { client, name } = guest;
    const { queue } = this.#options;
    const refusal = this.#closing ? STOPPING : this.#noRoom(queue);
    if (refusal !== null) {
      client.letGo(refusal.code, refusal.reason);
      this.#tell({ kind: "refused", client: name, reason: refusal.reason });
      return;
    }
    this.#waiting.push(guest);
    client.gone.addEventListener("abort", () => {
      this.#waiting = this.#waiting.filter((other) => other !== guest);
    });
    this.#serving ??= this.#serve().finally(() => {
      this.#serving = null;
    });
  }

  #noRoom(queue: number): { code: number; reason: string } | null {
    // A page that is loaded again comes back before its session is closed: it may wait for that.
    const room = queue + (this.#current?.client.isLeaving ? 1 : 0);
    if (this.#serving === null || this.#waiting.length < room) return null;
    const others = queue === 0 ? "" : `, and ${queue} wait already`;
    return { code: CLOSE.tryAgainLater, reason: `another client has the session${others}; try again later` };
  }

  /** One after the other, as long as somebody waits. */
  async #serve(): Promise<void> {
    for (let guest = this.#waiting.shift(); guest !== undefined; guest = this.#waiting.shift()) {
      this.#current = guest;
      const { client, name, cameMs } = guest;
      const waitedSeconds = Math.round((this.#nowMs() - cameMs) / 100) / 10;
      this.#tell({ kind: "began", client: name, waitedSeconds });
      await client.converse(this.#options.engine);
      this.#tell({ kind: "ended", client: name, reason: client.reason, account: client.account });
    }
  }

  #tell(event: ServeEvent): void {
    this.#options.told?.(event);
  }
}

const STOPPING = { code: CLOSE.goingAway, reason: "the server is stopping" };
const NO_SUCH_PATH: Refusal = { status: 404, message: `Connect to ${CHAT_PATH}.` };

function pathAndQuery({ url = "/" }: IncomingMessage): [string, URLSearchParams] {
  const [path = "/", ...query] = url.split("?");
  return [path, new URLSearchParams(query.join("?"))];
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [path] = pathAndQuery(request);
  const [status, text] =
    request.method !== "GET" && request.method !== "HEAD"
      ? [405, "Only GET and HEAD are understood here."]
      : path === "/healthz"
        ? [200, "ok"]
        : path === CHAT_PATH
          ? [426, "This is a WebSocket."]
          : [404, `There is ${CHAT_PATH} for clients and /healthz for monitoring.`];
  const upgrade = status === 426 ? { upgrade: "websocket" } : {};
  response
    .writeHead(status, {
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...upgrade,
    })
    .end(`${text}\n`);
}
