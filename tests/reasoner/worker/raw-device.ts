import type { Link, LinkOptions } from "../../../src/reasoner/link/link.ts";
import type { Control, Presence, Reply, Request } from "../../../src/reasoner/protocol/messages.ts";
import { parseMessage } from "../../../src/reasoner/protocol/parse.ts";
import { TOPIC_ROOT } from "../../../src/reasoner/protocol/topics.ts";
import { encodeMessage } from "../../../src/reasoner/protocol/wire.ts";

export type ControlBody = {
  [K in Control["kind"]]: Omit<Extract<Control, { kind: K }>, "v" | "validSeconds">;
}[Control["kind"]];

/** A device that sends what a test wants and keeps what it hears: it follows no rules of its own. */
export class RawDevice {
  readonly id: string;
  readonly replies: Reply[] = [];
  /** Trace contexts of the replies. */
  readonly traces: (string | null)[] = [];
  readonly presences = new Map<string, Presence["state"]>();
  readonly #link: Link;
  readonly #waiting: { matches: (reply: Reply) => boolean; resolve: (reply: Reply) => void }[] = [];
  #onChange: () => void = () => {};

  private constructor(id: string, link: Link) {
    this.id = id;
    this.#link = link;
  }

  static linkOptions(id: string): LinkOptions {
    return { clientId: id, sessionExpirySeconds: 60, receiveMaximum: 100 };
  }

  static async join(id: string, link: Link): Promise<RawDevice> {
    const device = new RawDevice(id, link);
    await link.subscribe(`${TOPIC_ROOT}/devices/${id}/replies`);
    await link.subscribe(`${TOPIC_ROOT}/workers/+/presence`);
    await new Promise<void>((resolve) => {
      link.open({
        state: (state) => {
          if (state === "up") resolve();
        },
        message: ({ topic, payload, properties, acknowledge }) => {
          const parsed = parseMessage(topic, payload, properties);
          if (!parsed.ok)
            throw new Error(`the worker said what is not allowed: ${JSON.stringify(parsed.refusal)}`);
          acknowledge();
          const { received } = parsed;
          if (received.channel === "worker-presence")
            device.presences.set(received.worker, received.message.state);
          if (received.channel === "replies") device.#hear(received.message, received.traceparent);
          device.#onChange();
        },
      });
    });
    return device;
  }

  /** Publishes a request; false if the broker says that nobody takes it. */
  async request(overrides: Partial<Request> = {}, traceparent?: string): Promise<boolean> {
    const request = requestOf(overrides);
    const outcome = await this.#link.publish(
      encodeMessage({ channel: "requests", device: this.id }, request, traceparent),
    );
    return outcome.matched;
  }

  async control(worker: string, body: ControlBody): Promise<void> {
    const message = { v: 1, validSeconds: 60, ...body } as Control;
    await this.#link.publish(encodeMessage({ channel: "controls", worker, device: this.id }, message));
  }

  /** The first reply that `matches`, also one that came before. */
  reply<K extends Reply["kind"]>(
    kind: K,
    matches: (reply: Extract<Reply, { kind: K }>) => boolean = () => true,
  ): Promise<Extract<Reply, { kind: K }>> {
    const fits = (reply: Reply): reply is Extract<Reply, { kind: K }> =>
      reply.kind === kind && matches(reply as Extract<Reply, { kind: K }>);
    const found = this.replies.find(fits);
    if (found) return Promise.resolve(found);
    return new Promise((resolve) => {
      this.#waiting.push({
        matches: fits,
        resolve: (reply) => resolve(reply as Extract<Reply, { kind: K }>),
      });
    });
  }

  /** Waits until `holds` of what has been heard. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => (this.#onChange = resolve));
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  #hear(reply: Reply, traceparent: string | null): void {
    this.replies.push(reply);
    this.traces.push(traceparent);
    for (const waiting of this.#waiting) if (waiting.matches(reply)) waiting.resolve(reply);
  }
}

export function requestOf(overrides: Partial<Request> = {}): Request {
  return {
    v: 1,
    kind: "request",
    task: "t1",
    attempt: 1,
    text: "plan a week of training",
    deadlineMs: 60_000,
    context: { v: 1, elapsedMs: 42_000, transcript: [], counts: [], devices: [], stills: [] },
    followUps: [],
    ...overrides,
  };
}
