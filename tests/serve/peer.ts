import { WebSocket } from "ws";

/** Close code and what was given as the reason; for a request that was refused its HTTP status and body. */
export interface Ending {
  code: number;
  reason: string;
}

/** A client of the Moshi server's protocol, written from its description: kinds and payloads, nothing else. */
export class Peer {
  readonly socket: WebSocket;
  readonly ended: Promise<Ending>;
  /** Kind of each message, in order. */
  readonly kinds: number[] = [];
  /** Payloads of audio messages. */
  readonly audio: Buffer[] = [];
  readonly metadata: Record<string, unknown>[] = [];
  readonly errors: string[] = [];
  handshake: Buffer | null = null;
  text = "";
  #wake: () => void = () => {};

  /** @param url of the server, as "http://127.0.0.1:8998". */
  constructor(url: string, query = "", headers: Record<string, string> = {}) {
    this.socket = new WebSocket(`${url.replace("http", "ws")}/api/chat${query}`, { headers });
    this.ended = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
      this.socket.on("unexpected-response", (asked, answer) => {
        let body = "";
        answer.on("data", (part) => {
          body += part;
        });
        answer.on("end", () => resolve({ code: answer.statusCode!, reason: body }));
        answer.on("close", () => asked.destroy());
      });
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => this.#wake());
    this.socket.on("message", (data: Buffer) => {
      this.#receive(data[0]!, data.subarray(1));
      this.#wake();
    });
  }

  /** Resolves when `done` holds, which is looked at after every message, or when the connection has ended. */
  async until(done: () => boolean): Promise<void> {
    while (!done() && this.socket.readyState !== WebSocket.CLOSED) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Resolves when the server has said that it is ready. */
  async ready(): Promise<this> {
    await this.until(() => this.handshake !== null);
    return this;
  }

  send(kind: number, payload: Uint8Array = new Uint8Array()): void {
    this.socket.send(Buffer.concat([Uint8Array.of(kind), payload]));
  }

  /** Sends a stream in audio messages of `sizeBytes`. */
  stream(bytes: Uint8Array, sizeBytes: number): void {
    for (let at = 0; at < bytes.length; at += sizeBytes) this.send(1, bytes.subarray(at, at + sizeBytes));
  }

  /** Bytes of audio that came. */
  get heardBytes(): number {
    return this.audio.reduce((sum, { length }) => sum + length, 0);
  }

  #receive(kind: number, payload: Buffer): void {
    this.kinds.push(kind);
    if (kind === 0) this.handshake = payload;
    else if (kind === 1) this.audio.push(payload);
    else if (kind === 2) this.text += payload.toString("utf8");
    else if (kind === 4) this.metadata.push(JSON.parse(payload.toString("utf8")));
    else if (kind === 5) this.errors.push(payload.toString("utf8"));
  }
}

/** Samples as `format=pcm_s16le` has them. */
export function pcm16(samples: Float32Array): Buffer {
  const bytes = Buffer.alloc(2 * samples.length);
  for (const [k, sample] of samples.entries()) bytes.writeInt16LE(Math.round(sample * 32_767), 2 * k);
  return bytes;
}
