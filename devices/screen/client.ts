import type { RawData, WebSocket } from "ws";

/** What is sent at one time. */
export interface Sheet {
  /** Ascending. */
  number: number;
  /** The view as JSON, with the sheet's number in it. */
  json: string;
  /** Counts the pictures, so that none is sent twice. */
  pictureNumber: number;
  /** A JPEG, null without a camera. */
  picture: Buffer | null;
}

/** Close codes of RFC 6455, section 7.4.1. */
const POLICY_VIOLATION = 1008;

/**
 * One browser. It gets a sheet, says that it has it, and only then gets the next, which is the newest at that time. So
 * what waits for a slow browser is one sheet at most, and it never falls behind by more. One that does not say so within
 * `patienceMs` is let go.
 */
export class Client {
  readonly #socket: WebSocket;
  readonly #patience: NodeJS.Timeout;
  #newest: Sheet | null = null;
  /** Number of the sheet that was sent and not acknowledged; null if there is none. */
  #awaited: number | null = null;
  #sent = 0;
  #pictureSent = 0;
  #hopeless = false;

  constructor(socket: WebSocket, patienceMs: number) {
    this.#socket = socket;
    this.#patience = setTimeout(() => this.#loseHope(), patienceMs).unref();
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("close", () => clearTimeout(this.#patience));
    // A close event follows, and there is nobody to tell of a browser that misbehaves or goes away.
    socket.on("error", () => {});
  }

  /** Bytes that wait in this process for the browser to take them. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** Sends `sheet` when the browser is ready for it, unless a newer one has come by then. */
  show(sheet: Sheet): void {
    this.#newest = sheet;
    this.#sendNewest();
  }

  #sendNewest(): void {
    const sheet = this.#newest;
    const { readyState, OPEN, bufferedAmount } = this.#socket;
    // Bytes may wait although all is acknowledged, if the other side acknowledges what it never read.
    if (readyState !== OPEN || sheet === null || this.#awaited !== null || bufferedAmount > 0) return;
    if (sheet.number === this.#sent) return;
    if (sheet.picture !== null && sheet.pictureNumber !== this.#pictureSent) {
      this.#pictureSent = sheet.pictureNumber;
      this.#socket.send(sheet.picture);
    }
    this.#socket.send(sheet.json);
    this.#sent = sheet.number;
    this.#awaited = sheet.number;
    this.#patience.refresh();
  }

  /** The only message is `{"ack": NUMBER}`, for the sheet that was sent last. */
  #receive(data: RawData, isBinary: boolean): void {
    if (isBinary || this.#awaited === null || acknowledged(data) !== this.#awaited) {
      this.#socket.close(POLICY_VIOLATION, 'expected {"ack": NUMBER} for the newest sheet');
      return;
    }
    this.#awaited = null;
    if (this.#socket.bufferedAmount === 0) this.#hopeless = false;
    this.#sendNewest();
  }

  /** After a stall of this very process the browser's word may lie unread: it is heard before it is let go. */
  #loseHope(): void {
    // Nothing was sent since: there is nothing to wait for.
    if (this.#awaited === null && this.#socket.bufferedAmount === 0) return;
    this.#hopeless = true;
    setImmediate(() => {
      if (this.#hopeless) this.#socket.terminate();
    });
  }
}

function acknowledged(data: RawData): number | null {
  try {
    const message: unknown = JSON.parse(data.toString());
    if (typeof message !== "object" || message === null || !("ack" in message)) return null;
    return typeof message.ack === "number" ? message.ack : null;
  } catch {
    return null;
  }
}
