import { RuntimeError } from "../../core/errors.ts";
import type { WireMessage } from "../protocol/wire.ts";
import { linkFailure } from "./failure.ts";
import { InProcessSession } from "./in-process-session.ts";
import type { Link, LinkHandlers, LinkOptions, LinkState, PublishOutcome } from "./link.ts";
import { matches, sharing } from "./topic-filter.ts";

/**
 * Joins links of one process, with the rules of an MQTT 5 broker as far as the protocol uses them: QoS 1 with
 * acknowledgements, shared subscriptions, retained messages, last will, expiry, sessions that outlive a connection.
 * Nothing is on disk.
 */
export class InProcessBroker {
  readonly #sessions = new Map<string, InProcessSession>();
  readonly #retained = new Map<string, WireMessage>();
  /** The turn of each shared group and filter. */
  readonly #turns = new Map<string, number>();
  readonly #nowMs: () => number;

  /** @param nowMs monotonic, ms: what expiry is counted by. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  link(options: LinkOptions): InProcessLink {
    return new InProcessLink(this, options);
  }

  /** The session of a client: the one it left behind, or a new one. */
  session({ clientId, receiveMaximum }: LinkOptions): InProcessSession {
    let session = this.#sessions.get(clientId);
    if (session?.connected) {
      throw new RuntimeError("invalid-argument", {
        part: "in-process link",
        problem: `client ${clientId} is connected already`,
      });
    }
    session ??= new InProcessSession(receiveMaximum, this.#nowMs);
    this.#sessions.set(clientId, session);
    return session;
  }

  forget(clientId: string): void {
    this.#sessions.delete(clientId);
  }

  subscribe(session: InProcessSession, filter: string): void {
    session.filters.add(filter);
    const { group, filter: own } = sharing(filter);
    if (group !== null) return;
    for (const [topic, message] of this.#retained) if (matches(own, topic)) session.add(message, true);
  }

  publish(message: WireMessage): PublishOutcome {
    if (message.retain) {
      if (message.payload.length > 0) this.#retained.set(message.topic, message);
      else this.#retained.delete(message.topic);
    }
    const groups = new Map<string, InProcessSession[]>();
    let matched = false;
    for (const session of this.#sessions.values()) {
      let own = false;
      for (const filter of session.filters) {
        const shared = sharing(filter);
        if (!matches(shared.filter, message.topic)) continue;
        matched = true;
        if (shared.group === null) own = true;
        else groups.set(filter, [...(groups.get(filter) ?? []), session]);
      }
      if (own) session.add(message, false);
    }
    for (const [filter, members] of groups) this.#nextOf(filter, members).add(message, false);
    return { matched };
  }

  /** Members take turns, those that are connected before those that are away. */
  #nextOf(filter: string, members: InProcessSession[]): InProcessSession {
    const present = members.filter((member) => member.connected);
    const candidates = present.length > 0 ? present : members;
    const turn = this.#turns.get(filter) ?? 0;
    this.#turns.set(filter, turn + 1);
    return candidates[turn % candidates.length]!;
  }
}

/** A link that needs no network. It can be cut and mended, as a network does it. */
export class InProcessLink implements Link {
  readonly name = "in-process";
  readonly #broker: InProcessBroker;
  readonly #options: LinkOptions;
  readonly #filters = new Set<string>();
  #state: LinkState = "down";
  #session: InProcessSession | null = null;
  #handlers: LinkHandlers | null = null;
  #expiry: NodeJS.Timeout | null = null;

  constructor(broker: InProcessBroker, options: LinkOptions) {
    this.#broker = broker;
    this.#options = options;
  }

  get state(): LinkState {
    return this.#state;
  }

  open(handlers: LinkHandlers): void {
    if (this.#handlers || this.#state === "closed") {
      throw new RuntimeError("invalid-argument", {
        part: this.name,
        problem: "the link was opened before",
      });
    }
    this.#handlers = handlers;
    setImmediate(() => this.mend());
  }

  async publish(message: WireMessage): Promise<PublishOutcome> {
    if (this.#state !== "up") throw this.#down();
    return this.#broker.publish(message);
  }

  async subscribe(filter: string): Promise<void> {
    if (this.#state === "closed") throw this.#down();
    this.#filters.add(filter);
    if (this.#session?.connected) this.#broker.subscribe(this.#session, filter);
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#filters.delete(filter);
    this.#session?.filters.delete(filter);
  }

  async close(): Promise<void> {
    if (this.#state === "closed") return;
    if (this.#state === "up") this.#leave();
    this.#enter("closed", "closed");
  }

  /** The connection is lost, without a word: the broker publishes the last will. */
  cut(): void {
    if (this.#state !== "up") return;
    this.#leave();
    this.#enter("down", "cut");
  }

  /** The connection is made, with the session that was left behind unless it has expired. */
  mend(): void {
    if (this.#state !== "down" || !this.#handlers) return;
    if (this.#expiry) clearTimeout(this.#expiry);
    const session = this.#broker.session(this.#options);
    this.#session = session;
    session.attach((delivery) => this.#handlers!.message(delivery));
    for (const filter of this.#filters) this.#broker.subscribe(session, filter);
    const { presence } = this.#options;
    if (presence) this.#broker.publish(presence.online);
    this.#enter("up", "connected");
  }

  #leave(): void {
    const { clientId, sessionExpirySeconds, presence } = this.#options;
    this.#session!.detach();
    if (sessionExpirySeconds === 0) this.#broker.forget(clientId);
    else {
      this.#expiry = setTimeout(() => this.#broker.forget(clientId), sessionExpirySeconds * 1000);
      this.#expiry.unref();
    }
    if (presence) this.#broker.publish(presence.offline);
  }

  #enter(state: LinkState, detail: string): void {
    this.#state = state;
    this.#handlers?.state(state, detail);
  }

  #down(): RuntimeError {
    return linkFailure("link-down", this.name, `the link is ${this.#state}`);
  }
}
