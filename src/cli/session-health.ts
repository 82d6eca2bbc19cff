import type { Profile } from "../config/profile.ts";
import type { Log } from "../core/log.ts";
import { HealthServer } from "../observe/health-server.ts";
import { ServiceWatchdog } from "../observe/service-watchdog.ts";
import { type SessionGauges, watchSession } from "../observe/session-gauges.ts";
import { SessionMetrics } from "../observe/session-metrics.ts";
import type { SessionEvent, SessionObserver, StepRecord } from "../runtime/events.ts";

/** A loop whose last step ended longer ago does not keep up, ms. */
const STUCK_MS = 2000;

/** Shows those who look after a device how its session does: metrics and health over HTTP, and the service manager's watchdog. */
export class SessionHealth implements SessionObserver {
  readonly #metrics: SessionMetrics;
  readonly #watchdog: ServiceWatchdog | null;
  #server: HealthServer | null = null;
  #steppedMs: number | null = null;

  private constructor(microTurnMs: number, watchdog: ServiceWatchdog | null) {
    this.#metrics = new SessionMetrics(microTurnMs);
    this.#watchdog = watchdog;
  }

  /**
   * @returns null if nobody asks: neither the profile nor a service manager.
   * @throws RuntimeError "device-unavailable" if the port is taken.
   */
  static async open(profile: Profile, microTurnMs: number, log: Log): Promise<SessionHealth | null> {
    const watchdog = ServiceWatchdog.from(process.env, log);
    const { healthPort: port } = profile;
    if (port === undefined && watchdog === null) return null;
    const health = new SessionHealth(microTurnMs, watchdog);
    if (port !== undefined) {
      const { registry } = health.#metrics;
      health.#server = await HealthServer.start({ port, registry, unready: () => health.#unready() });
      log.write("info", "health", `http://127.0.0.1:${health.#server.port}/metrics, /healthz, /readyz`);
    }
    return health;
  }

  /** Has the session's gauges read whenever somebody asks for the metrics. */
  watch(gauges: SessionGauges): void {
    watchSession(this.#metrics.registry, gauges);
  }

  step(record: StepRecord): void {
    this.#steppedMs = performance.now();
    this.#metrics.step(record);
    this.#watchdog?.step();
  }

  event(event: SessionEvent): void {
    this.#metrics.event(event);
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  #unready(): string | null {
    if (this.#steppedMs === null) return "no micro-turn has been taken in yet";
    const sinceMs = performance.now() - this.#steppedMs;
    return sinceMs > STUCK_MS ? `the last step ended ${(sinceMs / 1000).toFixed(1)} s ago` : null;
  }
}
