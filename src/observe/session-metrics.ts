import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What the metrics need to know of a finished step. */
interface Step {
  stepMs: number;
  late: boolean;
  /** Oldest first. */
  inputs: readonly { startMs: number }[];
  output: { parts: readonly { kind: string }[] };
  savings: readonly string[];
}

/** What they need to know of a session's account; kinds that are not counted pass by. */
type Happening = { tMs: number } & ({ kind: "device"; device: string; state: string } | { kind: string });

/** Upper edges of the step time histogram as shares of T: fine where the budget (half of T) lies. */
const EDGES = [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 1];

/** Upper edges of the reaction histogram, s: a micro-turn and little more is the least that can be. */
const REACTION_EDGES = [0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3];
/** Words after this long without any are taken for a reaction, ms; what follows them waits for its turn to sound. */
const SILENCE_MS = 1000;

/** Kinds of devices, as their names begin. */
const DEVICES = ["camera", "microphone", "speaker", "serial", "reasoner"];

/**
 * A session in Prometheus' terms: step times up to T, late steps, savings, reactions, devices lost. Observes a
 * session; labels come from fixed lists, so their number is bounded.
 */
export class SessionMetrics {
  readonly registry = new Registry();
  readonly #stepSeconds: Histogram;
  readonly #microTurns = this.#counter("micro_turns_total", "Micro-turns taken in");
  readonly #late = this.#counter(
    "late_steps_total",
    "Steps that were not done when the next interval closed",
  );
  readonly #savings = this.#gauge("savings", "Rungs of the degradation ladder that are in force");
  readonly #spoken = this.#counter("phrases_spoken_total", "Phrases that began to sound");
  readonly #yields = this.#counter("yields_total", "Times that the model gave way");
  readonly #devicesLost = this.#counter("devices_lost_total", "Devices that failed or were unplugged");
  readonly #restarts = new Counter({
    name: "microturn_device_restarts_total",
    help: "Times that a lost device came back",
    labelNames: ["device"],
    registers: [this.registry],
  });
  readonly #reactionSeconds = new Histogram({
    name: "microturn_reaction_seconds",
    help: "From the beginning of a micro-turn to the first sample of the words that the model chose at its end, after 1 s without any",
    buckets: REACTION_EDGES,
    registers: [this.registry],
  });
  readonly #lost = new Set<string>();
  #choseWordsMs = Number.NEGATIVE_INFINITY;
  /** Where the micro-turn began whose words have not sounded yet, session time, ms. */
  #reactsToMs: number | null = null;

  /** @param microTurnMs T, ms. */
  constructor(microTurnMs: number) {
    collectDefaultMetrics({ register: this.registry });
    this.#stepSeconds = new Histogram({
      name: "microturn_step_seconds",
      help: "Machine time of a step of the model",
      buckets: EDGES.map((share) => (share * microTurnMs) / 1000),
      registers: [this.registry],
    });
  }

  step({ stepMs, late, inputs, output, savings }: Step): void {
    this.#stepSeconds.observe(stepMs / 1000);
    this.#microTurns.inc(inputs.length);
    if (late) this.#late.inc();
    this.#savings.set(savings.length);
    const first = inputs[0];
    if (first && hasWords(output.parts)) this.#noteWords(first.startMs);
  }

  event(happening: Happening): void {
    if (happening.kind === "speech") {
      this.#spoken.inc();
      if (this.#reactsToMs !== null) this.#reactionSeconds.observe((happening.tMs - this.#reactsToMs) / 1000);
      this.#reactsToMs = null;
    } else if (happening.kind === "yield") {
      this.#yields.inc();
      this.#reactsToMs = null;
    } else if ("device" in happening) this.#noteDevice(happening.device, happening.state);
  }

  /** @param startMs of the micro-turn that they answer. */
  #noteWords(startMs: number): void {
    if (startMs - this.#choseWordsMs >= SILENCE_MS) this.#reactsToMs = startMs;
    this.#choseWordsMs = startMs;
  }

  #noteDevice(device: string, state: string): void {
    if (state === "lost") {
      this.#devicesLost.inc();
      this.#lost.add(device);
    } else if (state === "ready" && this.#lost.delete(device)) {
      const kind = device.split(" ")[0]!;
      this.#restarts.inc({ device: DEVICES.includes(kind) ? kind : "other" });
    }
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `microturn_${name}`, help, registers: [this.registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `microturn_${name}`, help, registers: [this.registry] });
  }
}

/** True if words are to sound: a model that puts out sound itself tells what it says beside it. */
function hasWords(parts: readonly { kind: string }[]): boolean {
  const has = (wanted: string) => parts.some(({ kind }) => kind === wanted);
  return has("speech") || (has("sound") && has("text"));
}
