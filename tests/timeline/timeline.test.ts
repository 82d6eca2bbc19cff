import { describe, expect, test } from "vitest";
import { FakeCamera } from "../../devices/camera/fake-camera.ts";
import { chunked, FakeMicrophone } from "../../devices/microphone/fake-microphone.ts";
import { TypedTexts } from "../../devices/text/typed-text.ts";
import { type Clock, RealClock, VirtualClock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import type { MicroTurnInput } from "../../src/core/micro-turn.ts";
import { Timeline } from "../../src/timeline/timeline.ts";
import { fingerprint } from "./fingerprint.ts";
import { seededRandom } from "./random.ts";

const PERCEPTION = { microTurnMs: 200, audioSampleRateHz: 16_000, videoFramesPerMicroTurn: 2 };
const forever = new AbortController().signal;

/** Runs the timeline to its end, or until it is exhausted; `work` is what the loop does with each batch. */
async function run(
  clock: Clock,
  timeline: Timeline,
  work: (inputs: readonly MicroTurnInput[]) => Promise<void> = async () => {},
): Promise<MicroTurnInput[][]> {
  const batches: MicroTurnInput[][] = [];
  await timeline.open(forever);
  clock.start();
  for await (const inputs of timeline.microTurns(forever)) {
    batches.push([...inputs]);
    await clock.during(work(inputs));
    if (timeline.exhaustedAtMs !== null) break;
  }
  await timeline.close();
  return batches;
}

/** A sound in which sample n is n. */
function ramp(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => i);
}

function recordedSources(): Source[] {
  const captureMs = Array.from({ length: 45 }, (_, i) => i * (1000 / 30));
  return [
    new FakeMicrophone({ chunks: chunked(ramp(24_000), 16_000, 37) }),
    new FakeCamera({ captureMs }),
    new TypedTexts([
      { seconds: 0.5, text: "second" },
      { seconds: 0, text: "first" },
    ]),
  ];
}

describe("exact intervals", () => {
  test("each micro-turn hears its 3200 samples, sees the newest of each half, reads what was typed in it", async () => {
    const clock = new VirtualClock();
    const batches = await run(
      clock,
      new Timeline({ clock, perception: PERCEPTION, sources: recordedSources() }),
    );
    const turns = batches.flat();
    expect(turns.map((turn) => turn.index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(turns.map((turn) => turn.audio!.length)).toEqual(new Array(8).fill(3200));
    expect(turns[3]!.audio).toEqual(ramp(24_000).slice(9600, 12_800));
    // 1.5 s of sound end in the middle of the eighth micro-turn; what follows is silence and no gap.
    expect(turns[7]!.audio!.slice(0, 1600)).toEqual(ramp(24_000).slice(22_400));
    expect(turns[7]!.audio!.slice(1600)).toEqual(new Float32Array(1600));
    // 30 frames a second: of [0, 100) the one at 66.7 ms, of [100, 200) the one at 166.7.
    expect(turns[0]!.frames.map((frame) => Math.round(frame.captureMs))).toEqual([67, 167]);
    expect(turns[1]!.frames.map((frame) => Math.round(frame.captureMs))).toEqual([267, 367]);
    const texts = (turn: MicroTurnInput) =>
      turn.events.flatMap((event) => (event.kind === "text" ? event.text : []));
    expect(turns.map(texts)).toEqual([["first"], [], ["second"], [], [], [], [], []]);
  });

  test("a micro-turn of 80 ms at 24 kHz takes 1920 samples", async () => {
    const clock = new VirtualClock();
    const perception = { microTurnMs: 80, audioSampleRateHz: 24_000, videoFramesPerMicroTurn: null };
    const sources = [new FakeMicrophone({ chunks: chunked(ramp(24_000), 24_000, 20) })];
    const turns = (await run(clock, new Timeline({ clock, perception, sources }))).flat();
    expect(turns.map((turn) => turn.audio!.length)).toEqual(new Array(13).fill(1920));
    expect(turns[5]!.audio![0]).toBe(5 * 1920);
  });

  test("a deaf and blind model is fed text alone; sources it cannot perceive stay closed", async () => {
    const clock = new VirtualClock();
    const perception = { microTurnMs: 200, audioSampleRateHz: null, videoFramesPerMicroTurn: null };
    const turns = (await run(clock, new Timeline({ clock, perception, sources: recordedSources() }))).flat();
    expect(turns.map((turn) => [turn.audio, turn.frames.length])).toEqual(new Array(3).fill([null, 0]));
  });

  test("refuses two microphones, by name", () => {
    const sources = [new FakeMicrophone({ chunks: [] }), new FakeMicrophone({ chunks: [] })];
    expect(() => new Timeline({ clock: new VirtualClock(), perception: PERCEPTION, sources })).toThrow(
      /two audio sources, fake microphone and fake microphone/,
    );
  });
});

describe("a live microphone under jitter", () => {
  test("chunks that arrive within the grace are all heard; a later one leaves a counted gap in its place", async () => {
    const random = seededRandom(3);
    const clock = new VirtualClock();
    // 20 ms chunks; number 29, the last of the third micro-turn, comes 60 ms late.
    const latencyMs = (n: number) => (n === 29 ? 60 : random() * 15);
    const chunks = [...chunked(ramp(32_000), 16_000, 20)];
    const timeline = new Timeline({
      clock,
      perception: PERCEPTION,
      sources: [new FakeMicrophone({ chunks, recorded: false, latencyMs })],
      durationMs: 2000,
    });
    const turns = (await run(clock, timeline)).flat();
    expect(turns).toHaveLength(10);
    for (const turn of turns) {
      const expected = ramp(32_000).slice(turn.index * 3200, (turn.index + 1) * 3200);
      if (turn.index === 2) expected.fill(0, 2880);
      const wrong = turn.audio!.findIndex((sample, i) => sample !== expected[i]);
      expect(wrong, `micro-turn ${turn.index}`).toBe(-1);
    }
    expect(timeline.audio!.gaps).toEqual({ count: 1, totalMs: 20 });
  });

  test("one that falls silent for good leaves the timeline on time", async () => {
    const clock = new VirtualClock();
    const hung: Source = {
      name: "hung microphone",
      kind: "audio",
      recorded: false,
      async *open(_clock, signal): AsyncGenerator<Captured> {
        yield { kind: "audio", captureMs: 0, sampleRateHz: 16_000, samples: new Float32Array(3200) };
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    };
    const closedAt: number[] = [];
    const timeline = new Timeline({ clock, perception: PERCEPTION, sources: [hung], durationMs: 2000 });
    await run(clock, timeline, async () => {
      closedAt.push(clock.nowMs());
    });
    // Each interval is given the grace of 50 ms.
    expect(closedAt).toEqual([200, ...Array.from({ length: 9 }, (_, i) => 450 + 200 * i)]);
    expect(timeline.audio!.gaps.totalMs).toBe(1800);
  });
});

describe("a loop that is late", () => {
  test("the next batch holds every interval that closed meanwhile, and nothing heard is lost", async () => {
    const clock = new VirtualClock();
    const timeline = new Timeline({ clock, perception: PERCEPTION, sources: recordedSources() });
    const batches = await run(clock, timeline, async (inputs) => {
      if (inputs.at(-1)!.index === 1) await clock.pass(650);
    });
    expect(batches.map((batch) => batch.map((turn) => turn.index))).toEqual([
      [0],
      [1],
      [2, 3, 4],
      [5],
      [6],
      [7],
    ]);
    const heard = Float32Array.from(batches.flat().flatMap((turn) => [...turn.audio!]));
    expect(Buffer.from(heard.buffer, 0, 96_000).equals(Buffer.from(ramp(24_000).buffer))).toBe(true);
    expect(batches.flat().flatMap((turn) => turn.frames)).toHaveLength(15);
  });

  test("after a stall of a minute the last 30 s are taken in, the rest is counted, typed text is kept", async () => {
    const clock = new VirtualClock();
    const sources = [new TypedTexts([{ seconds: 5, text: "keep me" }])];
    const timeline = new Timeline({ clock, perception: PERCEPTION, sources, durationMs: 70_000 });
    const batches = await run(clock, timeline, async (inputs) => {
      if (inputs[0]!.index === 0) await clock.pass(60_000);
    });
    expect(batches[1]!.length).toBe(150);
    expect(batches[1]!.at(-1)!.index).toBe(300);
    expect(timeline.droppedIntervals).toBe(150);
    expect(batches[1]![0]!.events).toContainEqual({ kind: "text", timeMs: 5000, text: "keep me" });
  });
});

describe("recordings", () => {
  test("give the same micro-turns in real time as in virtual time", async () => {
    const virtual = new VirtualClock();
    const real = new RealClock();
    const [a, b] = [virtual, real].map((clock) =>
      run(clock, new Timeline({ clock, perception: PERCEPTION, sources: recordedSources() })),
    );
    // On a busy machine the loop may wake late and take one empty interval more at the end.
    const [virtualTurns, realTurns] = [(await a!).flat(), (await b!).flat()];
    expect(realTurns.slice(0, 8).map(fingerprint)).toEqual(virtualTurns.map(fingerprint));
    expect(real.nowMs()).toBeGreaterThanOrEqual(1600);
  });

  test("are read no further ahead than one interval beyond the one that closes next", async () => {
    const clock = new VirtualClock();
    let readToMs = 0;
    const times = function* () {
      for (let ms = 0; ms < 3000; ms += 10) {
        readToMs = ms;
        yield ms;
      }
    };
    const sources = [new FakeCamera({ captureMs: times() })];
    const timeline = new Timeline({ clock, perception: PERCEPTION, sources });
    await run(clock, timeline, async (inputs) => {
      const endMs = (inputs.at(-1)!.index + 1) * 200;
      await new Promise((resolve) => setTimeout(resolve, 2));
      expect(readToMs - endMs).toBeLessThanOrEqual(400);
    });
  });

  test("slow to read are waited for; virtual time stands meanwhile", async () => {
    const clock = new VirtualClock();
    const slow: Source = {
      name: "slow disk",
      kind: "video",
      recorded: true,
      async *open(): AsyncGenerator<Captured> {
        for (let captureMs = 0; captureMs < 600; captureMs += 100) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          yield { kind: "frame", captureMs, width: 1, height: 1, rgb: new Uint8Array(3) };
        }
      },
    };
    const batches = await run(clock, new Timeline({ clock, perception: PERCEPTION, sources: [slow] }));
    expect(batches.map((batch) => batch.map((turn) => turn.frames.length))).toEqual([[2], [2], [2]]);
  });

  test("that fail do so after all that came before has been handed over", async () => {
    const clock = new VirtualClock();
    const broken: Source = {
      name: "broken file",
      kind: "video",
      recorded: true,
      async *open(): AsyncGenerator<Captured> {
        for (const captureMs of [0, 150, 300, 450]) {
          yield { kind: "frame", captureMs, width: 1, height: 1, rgb: new Uint8Array(3) };
        }
        throw new Error("broken in the middle");
      },
    };
    const timeline = new Timeline({ clock, perception: PERCEPTION, sources: [broken] });
    let seen = 0;
    const failing = run(clock, timeline, async (inputs) => {
      seen += inputs.flatMap((input) => input.frames).length;
    });
    await expect(failing).rejects.toThrow("broken in the middle");
    expect(seen).toBe(3);
    await timeline.close();
  });

  test("tell the model when they end, at their own time", async () => {
    const clock = new VirtualClock();
    const sources = recordedSources();
    const turns = (await run(clock, new Timeline({ clock, perception: PERCEPTION, sources }))).flat();
    const ended = turns.flatMap((turn) =>
      turn.events.flatMap((event) =>
        event.kind === "device" ? [[turn.index, event.device, event.state]] : [],
      ),
    );
    expect(ended).toEqual([
      [7, "fake camera", "ended"],
      [7, "fake microphone", "ended"],
    ]);
  });
});

test("a live camera that is lost is an event, and the session goes on", async () => {
  const clock = new VirtualClock();
  const unplugged: Source = {
    name: "camera",
    kind: "video",
    recorded: false,
    async *open(at): AsyncGenerator<Captured> {
      yield { kind: "frame", captureMs: 0, width: 1, height: 1, rgb: new Uint8Array(3) };
      await at.sleepUntil(250);
      throw new Error("no such device");
    },
  };
  const microphone = new FakeMicrophone({ chunks: chunked(ramp(16_000), 16_000, 20), recorded: false });
  const timeline = new Timeline({ clock, perception: PERCEPTION, sources: [unplugged, microphone] });
  const turns = (await run(clock, timeline)).flat();
  expect(turns).toHaveLength(5);
  expect(turns[1]!.events).toEqual([
    { kind: "device", timeMs: 250, device: "camera", state: "lost", detail: "no such device" },
  ]);
});
