import { RuntimeError } from "../../src/core/errors.ts";

/** A line of bytes to a board, open. What it reports it reports until it is closed. */
export interface Port {
  /** Settles when the port has taken the bytes; rejects when it is lost or closed. One call at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Lets go of the port; calls `onLost` no more. Never rejects. */
  close(): Promise<void>;
}

export interface PortListener {
  /** `bytes` are borrowed. */
  onBytes(bytes: Uint8Array): void;
  /** The port is gone: unplugged, or the system refuses it. Said once. */
  onLost(detail: string): void;
}

/** Opens a port; rejects with RuntimeError "device-unavailable" if it is not there, not permitted or in use. */
export type OpenPort = (listener: PortListener) => Promise<Port>;

/** The system's port at `path`, such as a link of /dev/serial/by-id; a second process is kept out. */
export function systemPort(path: string, baud: number): OpenPort {
  // Only here: a session without a board needs no native package. And now: loading it may take a moment.
  const loading = import("serialport");
  loading.catch(() => {});
  return async (listener) => {
    const { SerialPort } = await loading;
    const port = new SerialPort({ path, baudRate: baud, autoOpen: false });
    // A write that fails destroys the stream: it says so here and by "close".
    port.on("error", () => {});
    await new Promise<void>((resolve, reject) => {
      port.open((cause) => (cause ? reject(unavailable(path, cause)) : resolve()));
    });
    let closed = false;
    const lost = (detail: string) => {
      if (closed) return;
      closed = true;
      listener.onLost(detail);
    };
    port.on("data", (bytes: Buffer) => {
      if (!closed) listener.onBytes(bytes);
    });
    port.on("close", (cause: Error | null) => lost(cause?.message ?? "closed"));
    return {
      write: (bytes) =>
        new Promise<void>((resolve, reject) => {
          // The package keeps what is written to a closed port for the day that it opens again.
          if (!port.isOpen) reject(unavailable(path, new Error("the port is closed")));
          else port.write(bytes, (cause) => (cause ? reject(unavailable(path, cause)) : resolve()));
        }),
      close: () =>
        new Promise<void>((resolve) => {
          closed = true;
          if (!port.isOpen) resolve();
          // Linux keeps a port that is closed with bytes in it for up to 30 s (closing_wait): drop them first.
          else port.flush(() => port.close(() => resolve()));
        }),
    };
  };
}

function unavailable(path: string, cause: Error): RuntimeError {
  return new RuntimeError("device-unavailable", {
    part: path,
    problem: cause.message.replace(/^Error:? */, ""),
    remedy: "See microturn devices",
    cause,
  });
}
