import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What the metrics need to know of a finished step. */
interface Step {
  stepMs: number;
  late: boolean;
  inputs: readonly unknown[];
  savings: readonly string[];
}

/** What they need to know of a session's account; kinds that are not counted pass by. */
type Happening =
  | { kind: "device"; state: string }
  | { kind: "end"; gaps: { count: number; totalMs: number }; dropped: Readonly<Record<string, number>> }
  | { kind: string };

/** Upper edges of the step time histogram as shares of T: fine where the budget (half of T) lies. */
const EDGES = [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 1];

/**
 * A session in Prometheus' terms: step times up to T, late steps, savings, devices lost, what was dropped. Observes a
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
  readonly #gaps = this.#counter(
    "audio_gaps_total",
    "Gaps in the microphone's sound; known at the session's end",
  );
  readonly #gapSeconds = this.#counter("audio_gap_seconds_total", "Silence put in their place");
  readonly #dropped = new Counter({
    name: "microturn_dropped_total",
    help: "What queues dropped by their policies; known at the session's end",
    labelNames: ["what"],
    registers: [this.registry],
  });

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

  step({ stepMs, late, inputs, savings }: Step): void {
    this.#stepSeconds.observe(stepMs / 1000);
    this.#microTurns.inc(inputs.length);
    if (late) this.#late.inc();
    this.#savings.set(savings.length);
  }

  event(happening: Happening): void {
    if (happening.kind === "speech") this.#spoken.inc();
    else if (happening.kind === "yield") this.#yields.inc();
    else if ("state" in happening && happening.kind === "device") {
      if (happening.state === "lost") this.#devicesLost.inc();
    } else if ("gaps" in happening) {
      this.#gaps.inc(happening.gaps.count);
      this.#gapSeconds.inc(happening.gaps.totalMs / 1000);
      for (const [what, count] of Object.entries(happening.dropped)) this.#dropped.inc({ what }, count);
    }
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `microturn_${name}`, help, registers: [this.registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `microturn_${name}`, help, registers: [this.registry] });
  }
}
