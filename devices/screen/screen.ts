import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { messageOf } from "../../src/core/errors.ts";
import { type Log, stderrLog } from "../../src/core/log.ts";
import type { VideoFrame } from "../../src/core/micro-turn.ts";
import { type ListenAddress, listen, refuseUpgrade, urlHost } from "../../src/net/listen.ts";
import { Access } from "./access.ts";
import { screenAddress } from "./address.ts";
import { Client, type Sheet } from "./client.ts";
import { type Page, readPages, TEXT_HEADERS } from "./pages.ts";
import { PictureEncoder } from "./picture.ts";
import type { ScreenView } from "./view.ts";

/** Path of the WebSocket. */
const LIVE_PATH = "/live";
/** Browsers at a time. A mirror has one, and perhaps an operator's. */
const MAX_CLIENTS = 16;
const MAX_CONNECTIONS = 64;
/** A browser sends nothing but short acknowledgements. */
const MAX_MESSAGE_BYTES = 256;
/** Sheets are at least this far apart, ms: two for each micro-turn of a session in real time. */
const SHEET_INTERVAL_MS = 100;
const PICTURE_INTERVAL_MS = 200;
const PATIENCE_MS = 10_000;
/** At the end of the session a browser has this long to say goodbye, ms. */
const FAREWELL_MS = 1000;

export interface ScreenOptions {
  /** HOST:PORT, [IPV6]:PORT or PORT. */
  address: string;
  /** Demanded of every browser; null only on loopback. At least 16 characters. */
  token: string | null;
  /** False if no picture is to be shown. */
  picture: boolean;
  /** What is shown at present; asked for when there is somebody to see it, at most ten times a second. */
  view: () => ScreenView;
  /** A browser that takes nothing for this long is let go, ms. Default 10 s. */
  patienceMs?: number;
  log?: Log;
}

/**
 * A local page that shows a session: `/` for the operator, `/mirror` for the person. It takes no part in the session:
 * every call returns at once, and no browser, however slow, makes it hold more than one sheet for each.
 */
export class Screen {
  /** "http://127.0.0.1:8420" */
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #access: Access;
  readonly #pages: ReadonlyMap<string, Page>;
  readonly #view: () => ScreenView;
  readonly #patienceMs: number;
  readonly #pictures: PictureEncoder | null;
  readonly #clients = new Set<Client>();
  #sheet: Sheet = { number: 0, json: "", pictureNumber: 0, picture: null };
  #planned: NodeJS.Timeout | null = null;
  #printedMs = Number.NEGATIVE_INFINITY;

  /**
   * Listens.
   * @throws RuntimeError "device-unavailable" if the port is in use or may not be used, "invalid-argument" for a bad
   * address, "invalid-configuration" if the address wants a token.
   */
  static async open(options: ScreenOptions): Promise<Screen> {
    const address = await screenAddress(options.address);
    const access = new Access(address, options.token);
    const pages = await readPages();
    const server = createServer({ headersTimeout: 5000, requestTimeout: 5000, maxHeaderSize: 8192 });
    server.maxConnections = MAX_CONNECTIONS;
    await listen(server, address, "screen");
    return new Screen(options, address, access, pages, server);
  }

  private constructor(
    options: ScreenOptions,
    address: ListenAddress,
    access: Access,
    pages: ReadonlyMap<string, Page>,
    server: Server,
  ) {
    const { port } = server.address() as AddressInfo;
    this.url = `http://${urlHost(address.host)}:${port}`;
    this.#view = options.view;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#access = access;
    this.#pages = pages;
    this.#server = server;
    const { log = stderrLog } = options;
    const encoded = (jpeg: Buffer) => this.#newPicture(jpeg);
    const failed = (fault: unknown) =>
      log.write("warning", "screen", `no more pictures: ${messageOf(fault)}`);
    this.#pictures = options.picture
      ? new PictureEncoder({ intervalMs: PICTURE_INTERVAL_MS, encoded, failed })
      : null;
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    server.on("request", (request, response) => this.#answer(request, response));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    // Requests that are no HTTP, and connections that break: there is nobody to tell.
    server.on("clientError", (_, socket) => socket.destroy());
  }

  /** Browsers that are connected. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** Bytes that wait in this process for browsers to take them. */
  get bufferedBytes(): number {
    return [...this.#clients].reduce((sum, client) => sum + client.bufferedBytes, 0);
  }

  /** Says that the view has changed. */
  update(): void {
    if (this.#clients.size === 0 || this.#planned !== null) return;
    const waitMs = Math.max(0, this.#printedMs + SHEET_INTERVAL_MS - performance.now());
    this.#planned = setTimeout(() => this.#print(), waitMs).unref();
  }

  /** Shows the camera's newest picture. `frame` is borrowed. */
  picture(frame: VideoFrame): void {
    if (this.#clients.size > 0) this.#pictures?.offer(frame);
  }

  /** Shows what there is once more, then lets the browsers go and frees the port. */
  async close(): Promise<void> {
    if (this.#clients.size > 0) this.#print();
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets.clients) {
      // 1001: going away (RFC 6455, 7.4.1).
      socket.close(1001, "the session is over");
    }
    this.#server.closeAllConnections();
    const farewell = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
    }, FAREWELL_MS);
    await closed;
    clearTimeout(farewell);
  }

  #print(): void {
    if (this.#planned !== null) clearTimeout(this.#planned);
    this.#planned = null;
    this.#printedMs = performance.now();
    const number = this.#sheet.number + 1;
    this.#sheet = { ...this.#sheet, number, json: JSON.stringify({ sheet: number, ...this.#view() }) };
    for (const client of this.#clients) client.show(this.#sheet);
  }

  #newPicture(picture: Buffer): void {
    this.#sheet = { ...this.#sheet, picture, pictureNumber: this.#sheet.pictureNumber + 1 };
    this.update();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "/").split("?")[0]!;
    const page = this.#pages.get(path);
    const cookie = this.#access.cookieFor(request);
    const refusal = this.#access.refusal(request);
    if (request.method !== "GET" && request.method !== "HEAD") {
      text(response, 405, "Only GET and HEAD are understood here.");
    } else if (refusal?.status === 403) {
      text(response, 403, refusal.message);
    } else if (cookie !== null && page !== undefined) {
      // Takes the token out of the address line and of the browser's history.
      response.writeHead(303, { ...TEXT_HEADERS, Location: path, "Set-Cookie": cookie }).end();
    } else if (refusal !== null) {
      text(response, refusal.status, refusal.message);
    } else if (page === undefined) {
      text(response, 404, "There is / for the operator and /mirror for the person before it.");
    } else {
      response.writeHead(200, page.headers).end(request.method === "HEAD" ? undefined : page.body);
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    // A connection that breaks: there is nobody to tell.
    socket.on("error", () => socket.destroy());
    const refusal = this.#access.upgradeRefusal(request) ?? this.#fullOrElsewhere(request);
    if (refusal !== null) {
      refuseUpgrade(socket, refusal.status, refusal.message);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (accepted) => {
      const client = new Client(accepted, this.#patienceMs);
      this.#clients.add(client);
      accepted.on("close", () => this.#clients.delete(client));
      this.update();
    });
  }

  #fullOrElsewhere(request: IncomingMessage): { status: number; message: string } | null {
    if (request.url?.split("?")[0] !== LIVE_PATH) return { status: 404, message: `Connect to ${LIVE_PATH}.` };
    if (this.#sockets.clients.size < MAX_CLIENTS) return null;
    return { status: 503, message: `${MAX_CLIENTS} browsers show this session already; close one.` };
  }
}

function text(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, TEXT_HEADERS).end(`${message}\n`);
}
