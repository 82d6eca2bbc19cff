import type { Link } from "../../../src/reasoner/link/link.ts";
import type { Control, Reply, Request } from "../../../src/reasoner/protocol/messages.ts";
import { parseMessage } from "../../../src/reasoner/protocol/parse.ts";
import { controlsFilter, requestsFilter } from "../../../src/reasoner/protocol/topics.ts";
import { encodeMessage } from "../../../src/reasoner/protocol/wire.ts";

/** What a reply says beside what it carries by itself. */
type Said<R = Reply> = R extends Reply
  ? Omit<R, "v" | "task" | "attempt" | "worker" | "seq" | "controls" | "validSeconds">
  : never;

/** A worker that does what a test tells it, and keeps what it was sent. */
export class ScriptedWorker {
  readonly requests: Request[] = [];
  readonly controls: Control[] = [];
  /** Called for each request. */
  onRequest: (request: Request) => void = () => {};
  readonly id: string;
  readonly #link: Link;
  readonly #device: string;
  readonly #seq = new Map<string, number>();
  #came: () => void = () => {};
  readonly #taken = new Map<string, number>();

  constructor(link: Link, { id, device }: { id: string; device: string }) {
    this.id = id;
    this.#link = link;
    this.#device = device;
  }

  /** Resolves when it can be given tasks. */
  async open(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#link.open({
        state: (state) => {
          if (state === "up") resolve();
        },
        message: (delivery) => {
          delivery.acknowledge();
          const parsed = parseMessage(delivery.topic, delivery.payload, delivery.properties);
          if (!parsed.ok)
            throw new Error(`the device sent what is refused: ${JSON.stringify(parsed.refusal)}`);
          const { received } = parsed;
          if (received.channel === "requests") {
            this.requests.push(received.message);
            this.onRequest(received.message);
            this.#came();
          } else if (received.channel === "controls") {
            this.controls.push(received.message);
            const { message } = received;
            if (message.kind !== "cancel") this.#taken.set(message.task, message.control);
          }
        },
      });
      void this.#link.subscribe(requestsFilter("workers"));
      void this.#link.subscribe(controlsFilter(this.id));
    });
  }

  /** The request of that number, from 0, when it has come. */
  async request(index = 0): Promise<Request> {
    while (this.requests.length <= index) {
      await new Promise<void>((resolve) => {
        this.#came = resolve;
      });
    }
    return this.requests[index]!;
  }

  /** Replies, with the next number of the execution unless `changes` says otherwise. */
  async reply(request: Request, said: Said, changes: Partial<Reply> = {}): Promise<void> {
    const { task, attempt } = request;
    const key = `${task}/${attempt}`;
    const seq = changes.seq ?? (this.#seq.get(key) ?? 0) + 1;
    this.#seq.set(key, seq);
    const controls = this.#taken.get(task) ?? request.followUps.length;
    const base = { v: 1, task, attempt, worker: this.id, seq, controls, validSeconds: 60 };
    const reply = { ...base, ...said, ...changes } as Reply;
    await this.#link.publish(encodeMessage({ channel: "replies", device: this.#device }, reply));
  }

  accept(request: Request, leaseMs = 60_000): Promise<void> {
    return this.reply(request, { kind: "accepted", leaseMs });
  }

  result(request: Request, text: string): Promise<void> {
    return this.reply(request, { kind: "result", text });
  }
}
