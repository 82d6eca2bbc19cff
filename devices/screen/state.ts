import type { InputEvent, ReasonerEvent } from "../../src/core/micro-turn.ts";
import { REASONER_DEVICE } from "../../src/core/reasoner.ts";
import { Captions } from "./captions.ts";
import type { Activity, Column, DeviceState, Mark, ScreenView, Task } from "./view.ts";

const MAX_TASKS = 6;
const MAX_DEVICES = 16;
const MAX_TEXT_CHARS = 300;
/** A task in one of these states is over. */
const OVER = ["result", "failed", "refused"];

/** What the session says of itself once. */
export interface ScreenHead {
  title: string;
  microTurnMs: number;
}

/** The timeline is kept by whoever watches the session. */
export interface TimelineView {
  columns: readonly Column[];
  marks: readonly Mark[];
}

/** Gathers what a screen shows from what happens in a session. Its size has a bound, however long that lasts. */
export class ScreenState {
  readonly captions = new Captions();
  readonly #head: ScreenHead;
  readonly #tasks = new Map<string, Task>();
  readonly #devices = new Map<string, DeviceState>();
  #savings: readonly string[] = [];
  #tMs = 0;
  #late = 0;
  #phase: "starting" | "running" | "ended" = "starting";

  constructor(head: ScreenHead) {
    this.#head = head;
  }

  /** Something that entered the session. Devices are told by `device`, which also knows those that are no input. */
  input(event: InputEvent): void {
    switch (event.kind) {
      case "text":
        this.captions.add("heard", event.timeMs, event.text);
        break;
      case "played":
        this.captions.sounded(event.timeMs, event.endMs, event.text);
        break;
      case "reasoner":
        this.#task(event);
        break;
      case "serial":
      case "device":
        break;
      default:
        event satisfies never;
    }
  }

  /** The step that took in all up to `endMs` is done. */
  stepped(endMs: number, savings: readonly string[], late: boolean): void {
    this.#phase = "running";
    this.#tMs = endMs;
    this.#savings = savings;
    if (late) this.#late++;
    this.captions.knownTo(endMs);
  }

  device(device: string, state: DeviceState["state"], detail: string): void {
    this.#devices.delete(device);
    this.#devices.set(device, { device, state, detail: detail.slice(0, MAX_TEXT_CHARS) });
    if (this.#devices.size > MAX_DEVICES) this.#devices.delete(firstKey(this.#devices));
  }

  ended(tMs: number): void {
    this.#phase = "ended";
    this.#tMs = Math.max(this.#tMs, tMs);
    this.captions.flushed(this.#tMs);
    this.captions.knownTo(Number.POSITIVE_INFINITY);
  }

  view({ columns, marks }: TimelineView): ScreenView {
    const devices = [...this.#devices.values()];
    const isOn = (device: string) =>
      devices.some((known) => known.device.split(" ")[0] === device && known.state === "ready");
    return {
      ...this.#head,
      tMs: this.#tMs,
      activity: this.#activity(columns),
      savings: this.#savings,
      offline: this.#devices.get(REASONER_DEVICE)?.state === "lost",
      recording: isOn("recorder"),
      number: this.captions.number,
      captions: this.captions.list,
      tasks: [...this.#tasks.values()],
      devices,
      columns,
      marks,
      late: this.#late,
    };
  }

  #activity(columns: readonly Column[]): Activity {
    if (this.#phase !== "running") return this.#phase;
    if (this.captions.speaking) return "speaking";
    const hears = (columns.at(-1)?.levelDb ?? null) !== null;
    const isDeaf = [...this.#devices.values()].some(
      ({ device, state }) => state !== "ready" && /\bmicrophone\b/.test(device),
    );
    return hears && !isDeaf ? "listening" : "silent";
  }

  #task({ task, state, about, text, stale }: ReasonerEvent): void {
    const before = this.#tasks.get(task);
    const joined = state === "partial" && before?.state === "partial" ? before.text + text : text;
    // Of a result that grows, its end is news; of anything else, its beginning says what it is.
    const shown = state === "partial" ? joined.slice(-MAX_TEXT_CHARS) : joined.slice(0, MAX_TEXT_CHARS);
    this.#tasks.delete(task);
    this.#tasks.set(task, { task, state, about: about.slice(0, MAX_TEXT_CHARS), text: shown, stale });
    if (this.#tasks.size <= MAX_TASKS) return;
    const over = [...this.#tasks.values()].find((known) => OVER.includes(known.state));
    this.#tasks.delete(over?.task ?? firstKey(this.#tasks));
  }
}

function firstKey(map: ReadonlyMap<string, unknown>): string {
  return map.keys().next().value!;
}
