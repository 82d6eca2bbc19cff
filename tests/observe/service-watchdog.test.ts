import { spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Log } from "../../src/core/log.ts";
import { ServiceWatchdog } from "../../src/observe/service-watchdog.ts";

const quiet: Log = { write: () => {} };
const hasPrograms = ["systemd-notify", "socat"].every((name) => spawnSync(name, ["-V"]).error === undefined);

/** A notification socket as systemd makes it; what arrives, one datagram a line. */
async function notifySocket(): Promise<{ path: string; received: () => string }> {
  const folder = await mkdtemp(join(tmpdir(), "notify-"));
  const path = join(folder, "socket");
  const receiver = spawn("socat", ["-u", `UNIX-RECV:${path}`, "STDOUT"]);
  let text = "";
  receiver.stdout.on("data", (data) => {
    text += data;
  });
  onTestFinished(async () => {
    receiver.kill();
    await rm(folder, { recursive: true });
  });
  await vi.waitFor(() => expect(spawnSync("test", ["-S", path]).status).toBe(0), 5000);
  return { path, received: () => text };
}

test("without a service manager there is nothing to tell", () => {
  expect(ServiceWatchdog.from({}, quiet)).toBeNull();
});

test.skipIf(!hasPrograms)(
  "says that it is ready once, then pings only while steps end (needs systemd-notify and socat)",
  async () => {
    const { path, received } = await notifySocket();
    vi.stubEnv("NOTIFY_SOCKET", path);
    let nowMs = 0;
    const watchdog = ServiceWatchdog.from(
      { NOTIFY_SOCKET: path, WATCHDOG_USEC: "3000000" },
      quiet,
      () => nowMs,
    )!;
    const count = (word: string) => received().split(word).length - 1;

    for (nowMs = 0; nowMs < 1000; nowMs += 200) watchdog.step();
    await vi.waitFor(() => expect(count("READY=1")).toBe(1), 10_000);
    for (nowMs = 1000; nowMs <= 5000; nowMs += 200) watchdog.step();
    // One at the start, then one a second.
    await vi.waitFor(() => expect(count("WATCHDOG=1")).toBe(6), 10_000);
    expect(count("READY=1")).toBe(1);
    // Each sender waits until its message has been taken (sd_notify_barrier(3)).
    await vi.waitFor(() => expect(count("BARRIER=1")).toBe(6), 10_000);
    vi.unstubAllEnvs();
  },
);

test("a missing systemd-notify is reported once and harms nothing", async () => {
  vi.stubEnv("PATH", "/nonexistent");
  const lines: string[] = [];
  const log: Log = { write: (_level, part, message) => lines.push(`${part}: ${message}`) };
  let nowMs = 0;
  const watchdog = ServiceWatchdog.from(
    { NOTIFY_SOCKET: "/nonexistent", WATCHDOG_USEC: "300000" },
    log,
    () => nowMs,
  )!;
  for (nowMs = 0; nowMs < 1000; nowMs += 200) watchdog.step();
  await vi.waitFor(() => expect(lines).toHaveLength(1), 5000);
  expect(lines[0]).toMatch(/service watchdog: systemd-notify: .*ENOENT/);
  vi.unstubAllEnvs();
});
