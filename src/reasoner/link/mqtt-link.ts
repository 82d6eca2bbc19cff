import { Socket } from "node:net";
import mqtt, { type IPublishPacket, type MqttClient } from "mqtt";
import { messageOf, RuntimeError } from "../../core/errors.ts";
import type { WireMessage } from "../protocol/wire.ts";
import { linkFailure } from "./failure.ts";
import type { Delivery, Link, LinkHandlers, LinkState, PublishOutcome } from "./link.ts";
import { brokerName, clientOptions, type MqttLinkOptions, reconnectDelayMs } from "./mqtt-options.ts";
import { fromMqtt, toMqtt } from "./mqtt-properties.ts";
import { PublishQueue } from "./publish-queue.ts";

/** QoS 1 publishes that are sent before the first of them is answered; fewer if the broker says so. */
const MAX_IN_FLIGHT = 16;
const NO_MATCHING_SUBSCRIBERS = 0x10;
/** Time that a stream has to end after DISCONNECT, ms. */
const END_MS = 1000;
/** Reason codes of MQTT 5, section 2.4, that another time may not bring: unspecified, busy, rate, quota. */
const TRANSIENT = [0x80, 0x83, 0x89, 0x96, 0x97];
/** What mqtt.js takes for "do not acknowledge": any error given to handleMessage's callback. */
const HELD = new Error("acknowledged later");

/** A link over MQTT 5, by TCP or TLS. Never gives up: wrong credentials may be mended at the broker. */
export class MqttLink implements Link {
  readonly name: string;
  readonly #options: MqttLinkOptions;
  readonly #timeoutMs: number;
  readonly #filters = new Set<string>();
  readonly #publishes: PublishQueue;
  #state: LinkState = "down";
  #client: MqttClient | null = null;
  #handlers: LinkHandlers | null = null;
  #closing: Promise<void> | null = null;
  /** Counts connections, so that what belongs to an earlier one is known. */
  #connection = 0;
  #failures = 0;
  #lastFault = "connection lost";
  #toldFault = "";
  #lastPuback = { messageId: 0, reasonCode: 0 };

  /** @throws RuntimeError "invalid-configuration" if the URL is none of MQTT's or holds credentials. */
  constructor(options: MqttLinkOptions) {
    this.name = brokerName(options.url);
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    this.#publishes = new PublishQueue(this.name, {
      send: (message, settled) => this.#send(message, settled),
      slots: () => Math.min(MAX_IN_FLIGHT, this.#client?.serverProperties?.receiveMaximum ?? MAX_IN_FLIGHT),
      timeoutMs: this.#timeoutMs,
    });
  }

  get state(): LinkState {
    return this.#state;
  }

  open(handlers: LinkHandlers): void {
    if (this.#client || this.#state === "closed") {
      throw new RuntimeError("invalid-argument", { part: this.name, problem: "the link was opened before" });
    }
    this.#handlers = handlers;
    const client = mqtt.connect(
      this.#options.url,
      clientOptions(this.#options, this.#timeoutMs, this.#reconnectDelayMs()),
    );
    this.#client = client;
    client.handleMessage = (packet, done) => this.#receive(client, packet, done);
    client.on("packetreceive", (packet) => {
      // mqtt.js gives the publish to its callback, not the answer: the reason code is seen here, just before.
      if (packet.cmd !== "puback") return;
      this.#lastPuback = { messageId: packet.messageId ?? 0, reasonCode: packet.reasonCode ?? 0 };
    });
    client.on("connect", () => void this.#connected(client));
    client.on("close", () => this.#disconnected(client));
    client.on("disconnect", (packet) => {
      this.#lastFault = `broker said ${packet.reasonCode ?? 0}`;
    });
    client.on("error", (fault: Error) => {
      this.#lastFault = fault.message || (fault as NodeJS.ErrnoException).code || fault.name;
    });
  }

  publish(message: WireMessage): Promise<PublishOutcome> {
    if (this.#state !== "up") return Promise.reject(this.#down());
    const limit = this.#client!.serverProperties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
    if (message.payload.length > limit) {
      const problem = `${message.payload.length} bytes, the broker takes ${limit}`;
      return Promise.reject(linkFailure("link-refused", this.name, problem));
    }
    return this.#publishes.publish(message);
  }

  async subscribe(filter: string): Promise<void> {
    if (this.#state === "closed") throw this.#down();
    this.#filters.add(filter);
    if (this.#state !== "up") return;
    await this.#subscribe([filter]);
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#filters.delete(filter);
    if (this.#state !== "up") return;
    await this.#within(this.#client!.unsubscribeAsync(filter));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #reconnectDelayMs(): number {
    const bounds = this.#options.reconnectMs ?? { first: 1000, max: 60_000 };
    return reconnectDelayMs(bounds, this.#failures, Math.random);
  }

  /** The broker has taken the connection: subscriptions, presence, then "up". */
  async #connected(client: MqttClient): Promise<void> {
    const connection = this.#connection;
    // Small messages would wait for each other's acknowledgement by TCP.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    const made = new Set<string>();
    try {
      for (let left = [...this.#filters]; left.length > 0; left = this.#filtersBeside(made)) {
        await this.#subscribe(left);
        for (const filter of left) made.add(filter);
        if (connection !== this.#connection) return;
      }
      const { presence } = this.#options;
      if (presence) await this.#publishes.publish(presence.online);
    } catch (fault) {
      if (connection !== this.#connection || this.#closing) return;
      this.#lastFault = messageOf(fault);
      client.stream.destroy();
      return;
    }
    if (connection !== this.#connection || this.#closing) return;
    this.#failures = 0;
    client.options.reconnectPeriod = this.#reconnectDelayMs();
    this.#enter("up", "connected");
  }

  #filtersBeside(made: ReadonlySet<string>): string[] {
    return [...this.#filters].filter((filter) => !made.has(filter));
  }

  /** Comes once for every connection and for every attempt at one; mqtt.js has set its timer for the next already. */
  #disconnected(client: MqttClient): void {
    this.#connection++;
    this.#failures = Math.min(this.#failures + 1, 30);
    client.options.reconnectPeriod = this.#reconnectDelayMs();
    this.#publishes.rejectWaiting();
    if (this.#closing) return;
    if (this.#state === "up") this.#enter("down", this.#lastFault);
    else if (this.#lastFault !== this.#toldFault) this.#handlers?.fault?.(this.#lastFault);
    this.#toldFault = this.#lastFault;
    this.#lastFault = "connection lost";
  }

  #enter(state: LinkState, detail: string): void {
    this.#state = state;
    this.#handlers?.state(state, detail);
  }

  #receive(client: MqttClient, packet: IPublishPacket, done: (fault?: Error) => void): void {
    const connection = this.#connection;
    const { messageId } = packet;
    let held = packet.qos === 1;
    const delivery: Delivery = {
      topic: packet.topic,
      payload: Buffer.from(packet.payload),
      properties: fromMqtt(packet),
      retained: packet.retain,
      redelivered: packet.dup,
      acknowledge: () => {
        // A later connection has other packet identifiers.
        if (!held || connection !== this.#connection || !client.connected) return;
        held = false;
        // The one private member that is used: mqtt.js has no way of its own to acknowledge out of order.
        // biome-ignore lint/complexity/useLiteralKeys: a private member can be named no other way
        client["_sendPacket"]({ cmd: "puback", messageId: messageId!, reasonCode: 0 });
      },
    };
    this.#handlers!.message(delivery);
    const { qos0PauseMs = 0 } = this.#options;
    if (packet.qos === 1) done(HELD);
    else if (qos0PauseMs > 0) setTimeout(done, qos0PauseMs);
    else done();
  }

  #send(message: WireMessage, settled: (fault: Error | null, outcome: PublishOutcome) => void) {
    const client = this.#client!;
    let abandoned = false;
    const options = {
      qos: message.qos,
      retain: message.retain,
      properties: toMqtt(message.properties),
    };
    client.publish(message.topic, Buffer.from(message.payload), options, (fault, packet) => {
      if (abandoned) return;
      const messageId = packet && "messageId" in packet ? packet.messageId : undefined;
      const answer = this.#lastPuback;
      const unmatched = answer.messageId === messageId && answer.reasonCode === NO_MATCHING_SUBSCRIBERS;
      settled(fault ? this.#refusal(fault) : null, { matched: !unmatched });
    });
    const messageId = client.getLastMessageId();
    return {
      abandon: () => {
        abandoned = true;
        if (message.qos === 1) client.removeOutgoingMessage(messageId);
      },
    };
  }

  #refusal(fault: Error): RuntimeError {
    const { code } = fault as { code?: unknown };
    if (typeof code !== "number") return linkFailure("link-down", this.name, fault.message, fault);
    return linkFailure(
      TRANSIENT.includes(code) ? "link-busy" : "link-refused",
      this.name,
      fault.message,
      fault,
    );
  }

  async #subscribe(filters: string[]): Promise<void> {
    try {
      await this.#within(this.#client!.subscribeAsync(filters, { qos: 1 }));
    } catch (fault) {
      if (fault instanceof RuntimeError) throw fault;
      const problem = messageOf(fault);
      // A connection that closed meanwhile subscribes anew by itself.
      const code = this.#client!.connected ? "link-refused" : "link-down";
      throw linkFailure(code, this.name, problem, fault);
    }
  }

  /** `work`, or "link-timeout": mqtt.js leaves some promises open for ever. */
  async #within<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(linkFailure("link-timeout", this.name, `no answer in ${this.#timeoutMs} ms`));
      }, this.#timeoutMs);
    });
    return Promise.race([work, timeout]).finally(() => clearTimeout(timer));
  }

  async #close(): Promise<void> {
    const client = this.#client;
    this.#publishes.rejectAll();
    const { presence } = this.#options;
    // Connected is enough: "online" may be out before the link is up.
    if (client?.connected && presence) {
      // A broker that does not answer sends the last will by itself.
      await this.#publishes.publish(presence.offline).catch(() => {});
    }
    this.#publishes.rejectAll();
    if (client) await this.#end(client);
    this.#enter("closed", "closed");
  }

  /** DISCONNECT, then the end of the stream; a stream that does not end is destroyed. */
  async #end(client: MqttClient): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const forced = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        client.end(true);
        client.stream.destroy();
        resolve();
      }, END_MS);
    });
    await Promise.race([client.endAsync(), forced]);
    clearTimeout(timer);
    // mqtt.js leaves a connection that was still being made to itself, for good.
    client.stream.destroy();
  }

  #down(): RuntimeError {
    return linkFailure(
      "link-down",
      this.name,
      this.#state === "closed" ? "the link is closed" : "the link is down",
    );
  }
}
