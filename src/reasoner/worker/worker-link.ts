import type { LinkOptions } from "../link/link.ts";
import type { Presence } from "../protocol/messages.ts";
import { encodeMessage, type WireMessage } from "../protocol/wire.ts";

/** Room in the receive maximum beside the requests that are held: for controls, and for requests to be declined. */
const SPARE_RECEIVES = 32;
/** Devices want to know of a worker that is gone for a lease or two; then the broker may forget it, s. */
const OFFLINE_KEPT_SECONDS = 3600;

export function workerPresence(id: string, state: Presence["state"]): WireMessage {
  return encodeMessage({ channel: "worker-presence", worker: id }, { v: 1, kind: "presence", state });
}

/** How a worker's link is to be made. Its session ends with the connection: see "What a worker does" of the protocol. */
export function workerLinkOptions({ id, concurrency }: { id: string; concurrency: number }): LinkOptions {
  const offline = workerPresence(id, "offline");
  // Identifiers are new with every process: without an end, retained messages would pile up.
  offline.properties.expirySeconds = OFFLINE_KEPT_SECONDS;
  return {
    clientId: id,
    sessionExpirySeconds: 0,
    receiveMaximum: concurrency + SPARE_RECEIVES,
    presence: { online: workerPresence(id, "online"), offline },
  };
}
