import { connect, createServer, type Server, type Socket } from "node:net";

/** What a network may do to a connection. */
export interface NetworkFaults {
  /** Every chunk arrives so much later, ms. */
  delayMs: number;
  /** Bytes that pass in a second, in each direction of each connection. */
  bytesPerSecond: number;
}

const NONE: NetworkFaults = { delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
/** A throttled direction passes its share so often, ms. */
const TICK_MS = 20;

/**
 * Stands between a client and a server, over TCP, and makes the network bad: late, slow, cut, or half-open, where both
 * sides still believe in a connection that carries nothing any more.
 */
export class FaultyProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #faults: NetworkFaults = { ...NONE };
  #refusing = false;
  /** Connections that were made. */
  connections = 0;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => {
      if (this.#refusing) {
        client.resetAndDestroy();
        return;
      }
      this.connections++;
      const pair = new Pair(client, connect(targetPort, "127.0.0.1"), () => this.#faults);
      this.#pairs.add(pair);
      pair.ended = () => this.#pairs.delete(pair);
    });
  }

  static async start(targetPort: number): Promise<FaultyProxy> {
    const proxy = new FaultyProxy(targetPort);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (typeof address !== "object" || !address) throw new Error("the proxy does not listen");
    return address.port;
  }

  /** Connections that stand, half-open ones included. */
  get open(): number {
    return this.#pairs.size;
  }

  /** From now on, also for connections that stand. */
  set(faults: Partial<NetworkFaults>): void {
    this.#faults = { ...this.#faults, ...faults };
  }

  /** Resets every connection; new ones are taken. */
  cut(): void {
    for (const pair of [...this.#pairs]) pair.destroy();
  }

  /** Every connection that stands carries nothing any more, and nobody is told; new ones are taken and work. */
  halfOpen(): void {
    for (const pair of this.#pairs) pair.stall();
  }

  /** Resets every connection and refuses new ones, until `accept`. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  accept(): void {
    this.#refusing = false;
  }

  /** Takes the faults away. Half-open connections stay as they are. */
  heal(): void {
    this.#faults = { ...NONE };
    this.accept();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One connection through the proxy. */
class Pair {
  ended: () => void = () => {};
  readonly #sockets: readonly Socket[];
  readonly #pipes: readonly Pipe[];

  constructor(client: Socket, server: Socket, faults: () => NetworkFaults) {
    this.#sockets = [client, server];
    this.#pipes = [new Pipe(client, server, faults), new Pipe(server, client, faults)];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      // A reset by either side is what the other side is told.
      socket.on("error", () => this.destroy());
      socket.on("close", () => this.destroy());
    }
  }

  stall(): void {
    for (const pipe of this.#pipes) pipe.stall();
    // The end of one side must not reach the other any more.
    for (const socket of this.#sockets) socket.removeAllListeners("close").on("close", () => this.#forget());
  }

  destroy(): void {
    for (const pipe of this.#pipes) pipe.stop();
    for (const socket of this.#sockets) {
      // libuv does not reset a socket that is shutting down (uv_tcp_close_reset): long runs were left with open handles.
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.ended();
  }

  #forget(): void {
    if (this.#sockets.every((socket) => socket.destroyed)) this.ended();
  }
}

/** One direction of a connection. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #faults: () => NetworkFaults;
  readonly #queue: { dueMs: number; bytes: Buffer }[] = [];
  readonly #timer: NodeJS.Timeout;
  #allowance = 0;
  #stalled = false;

  constructor(from: Socket, to: Socket, faults: () => NetworkFaults) {
    this.#from = from;
    this.#to = to;
    this.#faults = faults;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => this.#queue.length === 0 && !this.#stalled && to.end());
    this.#timer = setInterval(() => this.#pass(), TICK_MS);
  }

  stall(): void {
    this.#stalled = true;
    this.stop();
    this.#queue.length = 0;
    this.#from.removeAllListeners("data").on("data", () => {});
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #take(bytes: Buffer): void {
    const { delayMs, bytesPerSecond } = this.#faults();
    if (delayMs === 0 && bytesPerSecond === Number.POSITIVE_INFINITY && this.#queue.length === 0) {
      this.#to.write(bytes);
      return;
    }
    this.#queue.push({ dueMs: performance.now() + delayMs, bytes });
    // A slow network pushes back: what is read but not passed stays small.
    if (bytesPerSecond !== Number.POSITIVE_INFINITY) this.#from.pause();
  }

  #pass(): void {
    const { bytesPerSecond } = this.#faults();
    const unlimited = bytesPerSecond === Number.POSITIVE_INFINITY;
    const share = (bytesPerSecond * TICK_MS) / 1000;
    this.#allowance = unlimited ? bytesPerSecond : Math.min(this.#allowance + share, Math.max(1, share));
    while (this.#queue.length > 0 && this.#queue[0]!.dueMs <= performance.now() && this.#allowance >= 1) {
      const next = this.#queue[0]!;
      const passing = next.bytes.subarray(0, unlimited ? undefined : Math.floor(this.#allowance));
      this.#to.write(passing);
      this.#allowance -= passing.length;
      next.bytes = next.bytes.subarray(passing.length);
      if (next.bytes.length === 0) this.#queue.shift();
    }
    if (this.#queue.length === 0 && this.#from.isPaused()) this.#from.resume();
    if (this.#queue.length === 0 && this.#from.readableEnded && !this.#to.writableEnded) this.#to.end();
  }
}
