import { describe, expect, test } from "vitest";
import { echoFault, measureEcho } from "../../../devices/echo/echo-probe.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { Source } from "../../../src/core/device.ts";
import { seededRandom } from "../../timeline/random.ts";
import { VirtualRoom } from "./virtual-room.ts";

const RATE_HZ = 16_000;
/** Power of the room's reflections together, over the direct sound's alone. */
const REFLECTIONS = [1, 0.5, -0.35, 0.25, 0.15, -0.08].reduce((sum, level) => sum + level * level, 0);

function probe(room: { delayMs: number; gain: number }, through: (microphone: Source) => Source = (m) => m) {
  const clock = new VirtualClock();
  const random = seededRandom(5);
  const { speaker, microphone } = new VirtualRoom(clock, {
    ...room,
    sampleRateHz: RATE_HZ,
    lengthMs: 20_000,
    person: () => 0.002 * (random() - 0.5),
  });
  const options = { speaker, microphone: through(microphone), sampleRateHz: RATE_HZ, clock };
  return measureEcho(options, new AbortController().signal);
}

/** A microphone whose amplifier clips hard, now more, now less: no linear filter can follow. */
function broken(microphone: Source): Source {
  return {
    ...microphone,
    async *open(clock, signal) {
      let n = 0;
      for await (const item of microphone.open(clock, signal)) {
        if (item.kind === "audio") {
          const drive = 5 + 400 * ((n++ * 0.37) % 1);
          for (const [i, sample] of item.samples.entries())
            item.samples[i] = 0.3 * Math.sign(Math.sin(drive * sample));
        }
        yield item;
      }
    },
  };
}

describe("the echo self-test", () => {
  test.each([5, 42, 160])("measures an echo of %d ms", async (delayMs) => {
    const report = await probe({ delayMs, gain: 0.3 });
    expect(report.delayMs).toBeCloseTo(delayMs, 0);
    const expectedDb = -20 * Math.log10(0.3) - 10 * Math.log10(REFLECTIONS);
    expect(Math.abs(report.returnLossDb! - expectedDb)).toBeLessThan(2.5);
    expect(report.enhancementDb).toBeGreaterThan(15);
    expect(echoFault(report)).toBeNull();
  });

  test("finds none where there is none", async () => {
    const report = await probe({ delayMs: 40, gain: 0 });
    expect(report).toEqual({ delayMs: null, returnLossDb: null, enhancementDb: null });
    expect(echoFault(report)).toBeNull();
  });

  test("names an echo that cannot be cancelled", async () => {
    const report = await probe({ delayMs: 40, gain: 0.3 }, broken);
    expect(echoFault({ ...report, delayMs: report.delayMs ?? 40 })).toMatch(
      /dB fainter, expected at least 15/,
    );
  });

  test("names an echo that comes too late", async () => {
    expect(echoFault(await probe({ delayMs: 320, gain: 0.3 }))).toMatch(
      /comes after 320 ms, expected at most 250/,
    );
  });
});
