import { spawn } from "node:child_process";
import type { Log } from "../core/log.ts";

/** A ping costs a child process of some 10 ms, so there are only as many as the watchdog needs. */
const PINGS_PER_TIMEOUT = 3;

/**
 * Tells systemd that the session is ready and, as long as steps come to an end, that it lives: a loop that is stuck
 * pings no more and is restarted (sd_notify(3), `Type=notify` and `WatchdogSec=` with `NotifyAccess=all`, as it is the child that speaks).
 * Observes a session. Node has no datagram sockets of the Unix kind, so systemd's own program speaks for it.
 */
export class ServiceWatchdog {
  readonly #intervalMs: number;
  readonly #log: Log;
  readonly #nowMs: () => number;
  #lastMs: number | null = null;
  #silent = false;

  private constructor(intervalMs: number, log: Log, nowMs: () => number) {
    this.#intervalMs = intervalMs;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /**
   * @param environment the process's: NOTIFY_SOCKET, and WATCHDOG_USEC if there is a watchdog.
   * @returns null if no service manager waits to hear from this process.
   */
  static from(
    environment: Readonly<Record<string, string | undefined>>,
    log: Log,
    nowMs: () => number = () => performance.now(),
  ): ServiceWatchdog | null {
    if (!environment.NOTIFY_SOCKET) return null;
    const timeoutMs = Number(environment.WATCHDOG_USEC) / 1000;
    const intervalMs = timeoutMs > 0 ? timeoutMs / PINGS_PER_TIMEOUT : Number.POSITIVE_INFINITY;
    return new ServiceWatchdog(intervalMs, log, nowMs);
  }

  /** A step has come to its end. */
  step(): void {
    const nowMs = this.#nowMs();
    if (this.#lastMs === null) this.#notify("READY=1", "WATCHDOG=1");
    else if (nowMs - this.#lastMs >= this.#intervalMs) this.#notify("WATCHDOG=1");
    else return;
    this.#lastMs = nowMs;
  }

  #notify(...assignments: string[]): void {
    // It stays until systemd has taken the message: one whose sender is gone already is nobody's.
    const child = spawn("systemd-notify", [`--pid=${process.pid}`, ...assignments], { stdio: "ignore" });
    child.unref();
    child.on("error", (fault) => {
      if (!this.#silent) this.#log.write("error", "service watchdog", `systemd-notify: ${fault.message}`);
      this.#silent = true;
    });
  }
}
