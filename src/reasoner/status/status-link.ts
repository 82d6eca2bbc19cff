import type { Link, LinkHandlers, LinkState, PublishOutcome } from "../link/link.ts";
import type { DeviceState } from "../protocol/messages.ts";
import { encodeMessage, type WireMessage } from "../protocol/wire.ts";
import { type DiscoveryOptions, discoveryMessage } from "./discovery.ts";

/** The newest state goes out so often at most, ms: a dashboard is not a recording. */
const INTERVAL_MS = 1000;

/**
 * A link that also tells dashboards and Home Assistant how the device is doing: discovery and state whenever it comes
 * up, and the state again after it has changed. None of it is ever waited for, and what fails is sent again with the next change
 * or the next connection.
 */
export class StatusLink implements Link {
  readonly #link: Link;
  readonly #discovery: WireMessage;
  readonly #device: string;
  #deviceState: DeviceState = {
    v: 1,
    kind: "state",
    session: "idle",
    tasksWaiting: 0,
    tasksRunning: 0,
    lateMicroTurns: 0,
  };
  #timer: NodeJS.Timeout | null = null;

  constructor(link: Link, options: DiscoveryOptions) {
    this.#link = link;
    this.#discovery = discoveryMessage(options);
    this.#device = options.device;
  }

  get name(): string {
    return this.#link.name;
  }

  get state(): LinkState {
    return this.#link.state;
  }

  /** Changes what is told of the device. */
  update(change: Partial<Omit<DeviceState, "v" | "kind">>): void {
    const next = { ...this.#deviceState, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#deviceState)) return;
    this.#deviceState = next;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#tell(this.#stateMessage());
    }, INTERVAL_MS);
  }

  open(handlers: LinkHandlers): void {
    this.#link.open({
      ...handlers,
      message: (delivery) => handlers.message(delivery),
      state: (state, detail) => {
        if (state === "up") {
          this.#tell(this.#discovery);
          this.#tell(this.#stateMessage());
        }
        handlers.state(state, detail);
      },
    });
  }

  publish(message: WireMessage): Promise<PublishOutcome> {
    return this.#link.publish(message);
  }

  subscribe(filter: string): Promise<void> {
    return this.#link.subscribe(filter);
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#link.unsubscribe(filter);
  }

  async close(): Promise<void> {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#deviceState = { ...this.#deviceState, session: "idle" };
    // The last state is retained: it should not say for ever that a session runs.
    await this.#link.publish(this.#stateMessage()).catch(() => {});
    await this.#link.close();
  }

  #stateMessage(): WireMessage {
    return encodeMessage({ channel: "device-state", device: this.#device }, this.#deviceState);
  }

  #tell(message: WireMessage): void {
    this.#link.publish(message).catch(() => {});
  }
}
