import type { WireMessage, WireProperties } from "../protocol/wire.ts";

/** What every kind of link is told. */
export interface LinkOptions {
  /** Unique among all that connect. A device's is its identifier; a worker's is new with every process. */
  clientId: string;
  /**
   * How long the broker keeps subscriptions and what they miss after the connection is lost, s; 0: not at all, as a
   * worker must, or requests would be given to it while it is away.
   */
  sessionExpirySeconds: number;
  /** Messages that may be unacknowledged at a time. */
  receiveMaximum: number;
  /** `online` is published on every connect; `offline` is the last will, and is published by `close`. Both retained. */
  presence?: { online: WireMessage; offline: WireMessage };
  /** A publish or a subscription that has no answer by then has failed, ms. Default 10 000. */
  timeoutMs?: number;
}

/** "down" at first and while the broker cannot be reached; "up" once every subscription stands; "closed" for good. */
export type LinkState = "down" | "up" | "closed";

/** A message on its way in. */
export interface Delivery {
  topic: string;
  /** The receiver's to keep. */
  payload: Uint8Array;
  properties: WireProperties;
  retained: boolean;
  /** True if the broker has sent it before, so that it may have been handled already. */
  redelivered: boolean;
  /**
   * Tells the broker that the message is settled (PUBACK). Until then it counts against `receiveMaximum`, and a
   * session that is resumed gets it again. Call it in any order; calls after the first, after the link went down, or
   * for QoS 0 change nothing. A receiver must call it at some time, or the broker stops sending.
   */
  acknowledge(): void;
}

/** What became of a message that the broker has taken over. */
export interface PublishOutcome {
  /** False if the broker said that nobody is subscribed: a request with this outcome has reached no worker. */
  matched: boolean;
}

export interface LinkHandlers {
  /** Called for one message at a time, in order of arrival. Must not block and must not throw. */
  message(delivery: Delivery): void;
  /** Called on every change, after `Link.state` shows it. `detail` says why, for the log. */
  state(state: LinkState, detail: string): void;
  /** Called when an attempt to connect has failed for another reason than the one before: for the log. */
  fault?(detail: string): void;
}

/**
 * A line to the broker, or to the other side directly. It speaks MQTT's terms: topics, filters, QoS 1, retained
 * messages, a last will. It keeps nothing across processes: what must not be lost stays with the caller until its
 * publish has resolved.
 *
 * Failures are RuntimeErrors: "link-down" (not up, or closed meanwhile), "link-busy" (too many publishes under way),
 * "link-timeout" (no answer in time; the message may or may not have arrived), all worth another try; and
 * "link-refused" (not authorised, too large), which is not.
 */
export interface Link {
  /** For messages: "mqtts broker.example:8883". Never holds a password. */
  readonly name: string;
  readonly state: LinkState;
  /**
   * Begins to connect, and goes on connecting until `close`, with back-off and jitter. Call it once.
   * Returns at once: the handlers tell when the link is up.
   */
  open(handlers: LinkHandlers): void;
  /**
   * Publishes one message. Messages are sent in the order of the calls. Resolves when the broker has it (QoS 1) or it
   * was written (QoS 0); rejects at once when the link is not up or busy, and within the link's publish timeout
   * otherwise. A publish that is under way while the link goes down and comes up again is sent again and may resolve
   * then. Once rejected it is never sent again.
   */
  publish(message: WireMessage): Promise<PublishOutcome>;
  /**
   * Subscribes with QoS 1, again after every reconnect, until `unsubscribe`. Resolves when the broker has answered;
   * while the link is down it resolves at once and the subscription is made before the link is up. A granted
   * subscription is no proof of permission: mosquitto grants what it will not deliver.
   * @throws RuntimeError "link-refused", "link-timeout".
   */
  subscribe(filter: string): Promise<void>;
  /** Ends a subscription; messages under way may still come. @throws RuntimeError "link-timeout". */
  unsubscribe(filter: string): Promise<void>;
  /**
   * Publishes "offline" and disconnects in good order. Resolves within a bounded time even if the broker is gone;
   * publishes under way reject with "link-down".
   */
  close(): Promise<void>;
}
