import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const SECONDS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300];

/** What a worker counts, in Prometheus' terms. Labels come from fixed lists: their number is bounded. */
export class WorkerMetrics {
  readonly registry = new Registry();
  readonly running = this.#gauge("tasks_running", "Tasks under way");
  readonly linkUp = this.#gauge("link_up", "1 while the broker is reached");
  readonly tasks = this.#counter(
    "tasks_total",
    "Tasks that ended, by how: result or the error's code",
    "outcome",
  );
  readonly refused = this.#counter(
    "messages_refused_total",
    "Messages that were not taken, by reason",
    "reason",
  );
  readonly replies = this.#counter("replies_total", "Replies that the broker has taken, by kind", "kind");
  readonly endpointRetries = this.#counter(
    "endpoint_retries_total",
    "Attempts that were repeated, by fault",
    "fault",
  );
  readonly firstTextSeconds = this.#histogram(
    "first_text_seconds",
    "From the request to the endpoint's first text",
  );
  readonly taskSeconds = this.#histogram("task_seconds", "From the request to the last reply");

  /** @param options.process adds Node's own metrics: once a process. */
  constructor(options: { process: boolean }) {
    if (options.process) collectDefaultMetrics({ register: this.registry });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `microturn_reasoner_${name}`, help, registers: [this.registry] });
  }

  #counter<Label extends string>(name: string, help: string, label: Label): Counter<Label> {
    return new Counter({
      name: `microturn_reasoner_${name}`,
      help,
      labelNames: [label],
      registers: [this.registry],
    });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({
      name: `microturn_reasoner_${name}`,
      help,
      buckets: SECONDS,
      registers: [this.registry],
    });
  }
}
