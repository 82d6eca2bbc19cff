/**
 * The kinds of message of the Moshi server's protocol: the first byte of every binary WebSocket message. Multi-byte
 * fields are little endian. README.md says what we do with each.
 */
export const KIND = {
  handshake: 0,
  audio: 1,
  text: 2,
  control: 3,
  metadata: 4,
  error: 5,
  ping: 6,
} as const;

/** Payload of a control message. The others of the protocol (start, end turn, pause) mean nothing to a duplex model. */
export const CONTROL_RESTART = 3;

/** `kind`, then the payload. */
export function message(kind: number, ...payload: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Uint8Array.of(kind), ...payload]);
}

/**
 * The handshake: two u32, protocol version 0 and model version 0, as the protocol page has it. Clients that know the
 * older, bare byte do not look at what follows it.
 */
export const HANDSHAKE: Buffer = message(KIND.handshake, new Uint8Array(8));
export const PING: Buffer = message(KIND.ping);

export function textMessage(text: string): Buffer {
  return message(KIND.text, Buffer.from(text, "utf8"));
}

export function metadataMessage(metadata: Readonly<Record<string, unknown>>): Buffer {
  return message(KIND.metadata, Buffer.from(JSON.stringify(metadata), "utf8"));
}

export function errorMessage(reason: string): Buffer {
  return message(KIND.error, Buffer.from(reason, "utf8"));
}
