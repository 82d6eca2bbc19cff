import { expect, test } from "vitest";
import { CancelledMicrophone } from "../../devices/echo/cancelled-microphone.ts";
import { TappedSpeaker } from "../../devices/echo/tapped-speaker.ts";
import { type Sound, withoutEcho } from "../../src/cli/echo.ts";
import { type Parts, shippedParts } from "../../src/cli/parts.ts";
import { profileOf } from "../../src/cli/profile-options.ts";
import { type Clock, RealClock, VirtualClock } from "../../src/core/clock.ts";
import type { Source, Speaker } from "../../src/core/device.ts";
import type { Log } from "../../src/core/log.ts";
import { VirtualRoom } from "../devices/echo/virtual-room.ts";

const RATE_HZ = 16_000;

/** A live speaker's sign, for one that needs no program. */
const noStates: Source = { name: "states", kind: "events", recorded: false, async *open() {} };

/** A room in which speaker and microphone of one clock belong together. */
/** @param delaysMs of the echo in one room after the other; the last one stays. */
function roomParts(delaysMs: readonly number[]): Parts {
  let entered = 0;
  let room: VirtualRoom | null = null;
  const enter = (clock: Clock) => {
    const delayMs = delaysMs[Math.min(entered++, delaysMs.length - 1)]!;
    return new VirtualRoom(clock, { sampleRateHz: RATE_HZ, delayMs, gain: 0.3, lengthMs: 60_000 });
  };
  return {
    ...shippedParts,
    speaker: (_spec, clock): Speaker => {
      room = enter(clock);
      return Object.assign(room.speaker, { states: noStates });
    },
    microphone: () => ({
      name: "room microphone",
      kind: "audio",
      recorded: false,
      open: (clock, signal) => room!.microphone.open(clock, signal),
    }),
  };
}

async function setUp(delayMs: number | number[], echo: "cancel" | "system" | "off" = "cancel") {
  const parts = roomParts([delayMs].flat());
  const lines: string[] = [];
  const log: Log = { write: (_level, part, message) => lines.push(`${part}: ${message}`) };
  const profile = profileOf({ echo });
  const sound: Sound = {
    speaker: parts.speaker("room", new RealClock()),
    microphone: parts.microphone("room", RATE_HZ),
  };
  const signal = new AbortController().signal;
  const makeClock = () => new VirtualClock();
  const given = withoutEcho({ profile, parts, sampleRateHz: RATE_HZ, log, makeClock }, sound, signal);
  return { sound, given, lines };
}

test("measures the echo, says so, and puts a canceller between microphone and speaker", async () => {
  const { given, lines } = await setUp(40);
  const { microphone, speaker } = await given;
  expect(microphone).toBeInstanceOf(CancelledMicrophone);
  expect(speaker).toBeInstanceOf(TappedSpeaker);
  expect(speaker.states).toBe(noStates);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^echo: after \d\d ms, \d dB fainter than it was played; made \d\d dB fainter$/);
});

test("repeats a test that fails once, as it does over a sound server that has just begun", async () => {
  // The first room is only named, the second tested first.
  const { given, lines } = await setUp([40, 330, 40]);
  expect((await given).microphone).toBeInstanceOf(CancelledMicrophone);
  expect(lines[0]).toMatch(/^echo: after \d\d ms/);
});

test("refuses an open microphone beside a speaker whose echo cannot be cancelled", async () => {
  const { given } = await setUp(330);
  await expect(given).rejects.toThrow(
    /room microphone would hear room speaker: the echo comes after 3\d\d ms.*--echo off/,
  );
});

test.each(["system", "off"] as const)("--echo %s: leaves both as they are, without a sound", async (echo) => {
  const { sound, given, lines } = await setUp(330, echo);
  expect(await given).toBe(sound);
  expect(lines).toEqual([]);
});

test("recordings and silent speakers have no echo", async () => {
  const { sound } = await setUp(40);
  const signal = new AbortController().signal;
  const log: Log = { write: () => {} };
  const setup = { profile: profileOf({}), parts: shippedParts, sampleRateHz: RATE_HZ, log };
  const recorded: Sound = { ...sound, microphone: { ...sound.microphone!, recorded: true } };
  expect(await withoutEcho(setup, recorded, signal)).toBe(recorded);
  const silent: Sound = { ...sound, speaker: shippedParts.speaker("none", new RealClock()) };
  expect(await withoutEcho(setup, silent, signal)).toBe(silent);
});
