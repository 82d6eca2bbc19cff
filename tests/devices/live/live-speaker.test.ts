import { describe, expect, test } from "vitest";
import { LiveSpeaker } from "../../../devices/speaker/live-speaker.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { Captured } from "../../../src/core/device.ts";
import { FakeProgram } from "./fake-program.ts";
import { openReporting } from "./reporting-player.ts";

const RATE_HZ = 8000;
const BUFFER_MS = 25;
const START_MS = 10;

/**
 * A device that begins to play START_MS after it is given its first sample and then plays on by the clock: what sounds,
 * sample by sample. It plays nothing while it has nothing.
 */
class FakePlayer {
  /** Value of each sample that sounded, by its number since session time 0. */
  readonly sounded = new Map<number, number>();
  readonly #clock: VirtualClock;
  #dryMs = Number.NEGATIVE_INFINITY;
  /** Largest stretch that was under way, ms. */
  deepestMs = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  take(pcm: Buffer): void {
    const nowMs = this.#clock.nowMs();
    if (this.#dryMs < nowMs) this.#dryMs = nowMs + START_MS;
    for (let at = 0; at < pcm.length; at += 2) {
      this.sounded.set(Math.round((this.#dryMs / 1000) * RATE_HZ), pcm.readInt16LE(at) / 32_767);
      this.#dryMs += 1000 / RATE_HZ;
    }
    this.deepestMs = Math.max(this.deepestMs, this.#dryMs - nowMs);
  }

  /** The loudest sample from `fromMs` on. */
  loudestFrom(fromMs: number): number {
    let loudest = 0;
    for (const [n, value] of this.sounded) {
      if ((n / RATE_HZ) * 1000 >= fromMs) loudest = Math.max(loudest, Math.abs(value));
    }
    return loudest;
  }
}

/** A clock under which whoever sleeps next wakes too late, as on a busy machine. */
class StallingClock extends VirtualClock {
  stallMs = 0;

  override sleepUntil(timeMs: number, signal?: AbortSignal): Promise<void> {
    const lateMs = this.stallMs;
    this.stallMs = 0;
    return super.sleepUntil(timeMs + lateMs, signal);
  }
}

interface Setting {
  clock: StallingClock;
  speaker: LiveSpeaker;
  players: FakePlayer[];
  programs: FakeProgram[];
  events: Captured[];
  stop: AbortController;
}

async function setUp(): Promise<Setting> {
  const clock = new StallingClock();
  const players: FakePlayer[] = [];
  const programs: FakeProgram[] = [];
  const speaker = new LiveSpeaker({
    name: "speaker fake",
    clock,
    sampleRateHz: RATE_HZ,
    channels: 1,
    bufferMs: BUFFER_MS,
    startMs: START_MS,
    reports: false,
    remedy: "",
    random: () => 1,
    launch: (signal) => {
      const player = new FakePlayer(clock);
      players.push(player);
      const program = new FakeProgram(
        async function* () {},
        (bytes) => player.take(bytes),
      );
      signal.addEventListener("abort", () => program.kill());
      programs.push(program);
      return program;
    },
  });
  const stop = new AbortController();
  const events: Captured[] = [];
  await speaker.states.prepare!(stop.signal);
  clock.start();
  void (async () => {
    for await (const event of speaker.states.open(clock, stop.signal)) events.push(event);
  })();
  await clock.sleepUntil(1);
  return { clock, speaker, players, programs, events, stop };
}

const speech = (ms: number, level = 0.5) => ({
  sampleRateHz: RATE_HZ,
  samples: new Float32Array((ms / 1000) * RATE_HZ).fill(level),
});

describe("a live speaker", () => {
  test("plays phrases whole, one after the other, and says to the millisecond when", async () => {
    const { clock, speaker, players, stop } = await setUp();
    const first = speaker.play("one", speech(100, 0.25));
    const second = speaker.play("two", speech(300, 0.5));
    const [startedMs, one, two] = await Promise.all([first.started, first.finished, second.finished]);
    expect(startedMs).toBeCloseTo(1 + START_MS, 6);
    expect(one).toEqual({ text: "one", startMs: startedMs, endMs: expect.closeTo(111, 6), whole: true });
    expect(two).toEqual({ text: "two", startMs: one.endMs, endMs: expect.closeTo(411, 6), whole: true });
    const at = (ms: number) => players[0]!.sounded.get(Math.round((ms / 1000) * RATE_HZ));
    for (const [ms, level] of [
      [12, 0.25],
      [110, 0.25],
      [112, 0.5],
      [410, 0.5],
      [412, 0],
    ] as const) {
      expect(at(ms), `at ${ms} ms`).toBeCloseTo(level, 3);
    }
    expect(players[0]!.deepestMs).toBeLessThanOrEqual(BUFFER_MS + START_MS + 0.2);
    expect(speaker.underruns).toBe(0);
    stop.abort();
    await speaker.close();
    expect(clock.nowMs()).toBeLessThan(600);
  });

  test("flushed, it fades away and is silent within 50 ms; what had not sounded is told so", async () => {
    const { clock, speaker, players, stop } = await setUp();
    const cut = speaker.play("cut", speech(380));
    const dropped = speaker.play("dropped", speech(100));
    await clock.sleepUntil(200);
    speaker.flush();
    const [played, never] = await Promise.all([cut.finished, dropped.finished]);
    expect(never).toEqual({ text: "dropped", startMs: 200, endMs: 200, whole: false });
    expect(await dropped.started).toBeNull();
    expect(played).toMatchObject({ text: "cut", startMs: expect.closeTo(11, 6), whole: false });
    expect(players[0]!.loudestFrom(played.endMs)).toBe(0);
    expect(played.endMs - 200).toBeLessThanOrEqual(50);
    // No step between two samples is large: a fade of 10 ms, no click.
    const values = [...players[0]!.sounded.entries()].sort(([a], [b]) => a - b).map(([, value]) => value);
    const steps = values.slice(1).map((value, i) => Math.abs(value - values[i]!));
    expect(Math.max(...steps)).toBeLessThan(0.02);

    const next = speaker.play("next", speech(50));
    expect((await next.finished).whole).toBe(true);
    stop.abort();
  });

  test("whose program ends loses what had not sounded, says so, and comes back", async () => {
    const { clock, speaker, programs, events, stop } = await setUp();
    const cut = speaker.play("cut", speech(300));
    const waiting = speaker.play("waiting", speech(100));
    await clock.sleepUntil(100);
    programs[0]!.kill("device unplugged");
    expect(await cut.finished).toMatchObject({ startMs: expect.closeTo(11, 6), endMs: 100, whole: false });
    expect(await waiting.started).toBeNull();
    expect(await speaker.play("while away", speech(100)).finished).toMatchObject({ whole: false });
    await clock.sleepUntil(1500);
    expect(events).toMatchObject([
      {
        event: {
          kind: "device",
          timeMs: 100,
          device: "speaker fake",
          state: "lost",
          detail: "device unplugged",
        },
      },
      { event: { kind: "device", state: "ready" } },
    ]);
    expect((await speaker.play("again", speech(100)).finished).whole).toBe(true);
    stop.abort();
  });

  test("held up in the middle of a phrase loses none of it, and counts that", async () => {
    const { clock, speaker, players, stop } = await setUp();
    const playback = speaker.play("long", speech(300));
    await clock.sleepUntil(100);
    clock.stallMs = 200;
    const { startMs, endMs, whole } = await playback.finished;
    expect(whole).toBe(true);
    expect(speaker.underruns).toBe(1);
    expect(endMs - startMs).toBeGreaterThan(450);
    const loud = [...players[0]!.sounded.entries()].filter(([, value]) => value > 0.4);
    expect(loud).toHaveLength(2400);
    // Told to the sample: the last one sounds where the phrase is said to end.
    expect((Math.max(...loud.map(([n]) => n)) / RATE_HZ) * 1000).toBeCloseTo(endMs, 0);
    expect(players[0]!.deepestMs).toBeLessThanOrEqual(BUFFER_MS + START_MS + 0.2);
    stop.abort();
  });
});

describe("a live speaker whose device reports", () => {
  async function reporting() {
    const clock = new VirtualClock();
    const stop = new AbortController();
    const sounded: { value: number; ms: number }[] = [];
    const { speaker, player } = await openReporting(
      {
        clock,
        sampleRateHz: RATE_HZ,
        driftPpm: 0,
        bufferMs: BUFFER_MS,
        startMs: START_MS,
        lateMs: () => 1,
        sounds: (value, ms) => sounded.push({ value, ms }),
      },
      stop.signal,
    );
    await clock.sleepUntil(1000);
    return { clock, stop, speaker, player, sounded };
  }

  test("knows after a stall what is under way, holds no more than before, and is silent within 50 ms of a flush", async () => {
    const { clock, stop, speaker, player, sounded } = await reporting();
    const playback = speaker.play("long", speech(5000));
    for (let stall = 0; stall < 3; stall++) {
      await clock.sleepUntil(1500 + 700 * stall);
      player.stall(90);
    }
    await clock.sleepUntil(4000);
    expect(player.underWayMs).toBeLessThan(BUFFER_MS + START_MS + 3);
    expect(player.underWayMs).toBeGreaterThan(BUFFER_MS - 8);
    expect(speaker.underruns).toBe(3);
    speaker.flush();
    const { startMs, endMs, whole } = await playback.finished;
    stop.abort();
    expect(whole).toBe(false);
    const loud = sounded.filter(({ value }) => value !== 0).map(({ ms }) => ms);
    expect(loud.at(-1)! - 4000).toBeLessThan(50);
    expect(Math.abs(endMs - loud.at(-1)!)).toBeLessThan(2);
    expect(Math.abs(startMs - loud[0]!)).toBeLessThan(2);
  });

  test("tells where each phrase sounded, after pauses too", async () => {
    const { clock, stop, speaker, sounded } = await reporting();
    for (const atMs of [1200, 2000, 9000]) {
      await clock.sleepUntil(atMs);
      const { startMs, endMs, whole } = await speaker.play("phrase", speech(300)).finished;
      const loud = sounded.filter(({ value, ms }) => value > 0.4 && ms > atMs).map(({ ms }) => ms);
      expect(whole).toBe(true);
      expect(Math.abs(startMs - loud[0]!)).toBeLessThan(1.5);
      expect(Math.abs(endMs - loud.at(-1)!)).toBeLessThan(1.5);
      expect(startMs - atMs).toBeLessThan(BUFFER_MS + START_MS + 6);
    }
    expect(speaker.underruns).toBe(0);
    stop.abort();
    await speaker.close();
  });
});
