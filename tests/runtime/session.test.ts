import { describe, expect, test } from "vitest";
import { FakeCamera } from "../../devices/camera/fake-camera.ts";
import { chunked, FakeMicrophone } from "../../devices/microphone/fake-microphone.ts";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { TypedTexts } from "../../devices/text/typed-text.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { RealClock, VirtualClock } from "../../src/core/clock.ts";
import type { Captured, Source } from "../../src/core/device.ts";
import { RuntimeError } from "../../src/core/errors.ts";
import type { Log } from "../../src/core/log.ts";
import type { SessionEvent, StepRecord } from "../../src/runtime/events.ts";
import { Session, type SessionOptions } from "../../src/runtime/session.ts";
import { fingerprint } from "../timeline/fingerprint.ts";
import { ScriptedModel, type ScriptedModelOptions, says } from "./scripted-model.ts";

const quiet: Log = { write: () => {} };

function setUp(script: ScriptedModelOptions, options: Partial<SessionOptions> = {}) {
  const clock = new VirtualClock();
  const model = new ScriptedModel(script);
  const events: SessionEvent[] = [];
  const steps: StepRecord[] = [];
  const session = new Session({
    clock,
    model,
    sources: [],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(options.clock ?? clock),
    observers: [{ event: (event) => events.push(event), step: (record) => steps.push(record) }],
    log: quiet,
    ...options,
  });
  const lines = () =>
    events.map(({ tMs, kind, ...rest }) => `${tMs} ${kind} ${"text" in rest ? rest.text : ""}`.trim());
  return { clock, model, session, events, steps, lines };
}

/** One second of camera and microphone. */
function oneSecond(): Source[] {
  const samples = Float32Array.from({ length: 16_000 }, (_, i) => Math.sin(i));
  return [
    new FakeCamera({ captureMs: Array.from({ length: 10 }, (_, i) => 100 * i) }),
    new FakeMicrophone({ chunks: chunked(samples, 16_000, 50) }),
  ];
}

describe("a session", () => {
  test("perceives, speaks and ends when its sources have and the last words have sounded", async () => {
    const script = (index: number) => (index === 3 ? says(" 7") : index === 4 ? says(" well done") : []);
    const { session, lines, events } = setUp({ script }, { sources: oneSecond(), settleMs: 0 });
    const summary = await session.run();
    // In the order in which it is known: a device's end with its interval, a word when it sounds.
    expect(lines()).toEqual([
      "800 speech 7",
      "900 device",
      "1150 speech well done",
      "1000 device",
      "1800 end",
    ]);
    expect(summary).toMatchObject({
      microTurns: 9,
      late: 0,
      model: "scripted",
      gaps: { count: 0, totalMs: 0 },
    });
    expect(events.at(-1)).toEqual({ tMs: 1800, microTurn: 9, kind: "end", ...summary });
    expect(session.transcript.phrases.map((phrase) => phrase.text)).toEqual(["7", "well done"]);
  });

  test("what was played comes back to the model as an event, with its times", async () => {
    const script = (index: number) => (index === 0 ? says(" hello you") : []);
    const { session, model } = setUp({ script }, { durationMs: 2000 });
    await session.run();
    const played = model.steps.flat().flatMap((input) => input.events.map((event) => [input.index, event]));
    expect(played).toEqual([[3, { kind: "played", timeMs: 200, endMs: 800, text: "hello you" }]]);
  });

  test("goes on after its sources until nothing was said for the settling time", async () => {
    const script = (index: number) => (index === 6 ? says(" 8") : []);
    const { session } = setUp({ script }, { sources: oneSecond(), settleMs: 1000 });
    // Sources end at 1.0 s; "8" sounds from 1.4 to 1.75 s; 1 s later the next interval has closed at 2.8 s.
    expect((await session.run()).microTurns).toBe(14);
  });

  test("ends at its duration, and lets the words that are under way sound", async () => {
    const script = (index: number) => (index === 1 ? says(" a long sentence to the end") : []);
    const { session, events } = setUp({ script }, { sources: oneSecond(), durationMs: 400 });
    const summary = await session.run();
    expect(summary.microTurns).toBe(2);
    expect(session.transcript.phrases[0]).toMatchObject({ startMs: 400, text: "a long sentence to the end" });
    expect(events.at(-1)!.tMs).toBe(session.transcript.phrases[0]!.endMs);
  });

  test("typed text alone does not end it before its duration", async () => {
    const { session } = setUp(
      {},
      { sources: [new TypedTexts([{ seconds: 0, text: "go" }])], durationMs: 5000 },
    );
    expect((await session.run()).microTurns).toBe(25);
  });

  test("passes on-screen text and actions to the observers, in their place", async () => {
    const { session, events } = setUp(
      {
        script: (index) =>
          index === 1
            ? [
                { kind: "text", text: "line 3" },
                { kind: "action", name: "point", args: { line: 3 } },
              ]
            : [],
      },
      { durationMs: 600 },
    );
    await session.run();
    expect(events.slice(0, 2)).toEqual([
      { tMs: 400, microTurn: 2, kind: "text", text: "line 3" },
      { tMs: 400, microTurn: 2, kind: "action", name: "point", args: { line: 3 } },
    ]);
  });

  test("two runs in virtual time are the same in every event, input and token", async () => {
    const once = async () => {
      const script = (index: number) =>
        index % 3 === 0 ? says(` ${index}`) : index === 7 ? [{ kind: "yield" } as const] : [];
      const { session, events, steps } = setUp({ script }, { sources: oneSecond(), durationMs: 3000 });
      await session.run();
      const told = events.map((event) => (event.kind === "end" ? event.tMs : event));
      return {
        told,
        steps: steps.map(({ inputs, output }) => ({ inputs: inputs.map(fingerprint), output })),
      };
    };
    expect(await once()).toEqual(await once());
  });

  test("real time gives the model the same as virtual time", async () => {
    const inputsOn = async (clock: VirtualClock | RealClock) => {
      const { session, steps } = setUp({}, { clock, sources: oneSecond(), settleMs: 0 });
      await session.run();
      return steps.flatMap((step) => step.inputs.map(fingerprint)).slice(0, 5);
    };
    expect(await inputsOn(new RealClock())).toEqual(await inputsOn(new VirtualClock()));
  });
});

describe("giving way", () => {
  test("a yield silences speaker and voice at once; only what was heard stands in the transcript", async () => {
    const script = (index: number) =>
      index === 0
        ? says(" one two three four five")
        : index === 4
          ? [{ kind: "yield" } as const, ...says(" ok")]
          : [];
    const { session, lines, model } = setUp({ script }, { durationMs: 2000 });
    await session.run();
    // 23 characters in 1450 ms from 200 ms on; cut at 1000 ms, within the 13th: "three" is not out.
    expect(lines()).toEqual([
      "200 speech one two three four five",
      "1000 yield one two three four five",
      "1000 speech ok",
      "2000 end",
    ]);
    expect(session.transcript.phrases).toEqual([
      { startMs: 200, endMs: 1000, text: "one two" },
      { startMs: 1000, endMs: 1200, text: "ok" },
    ]);
    const played = model.steps.flat().flatMap((input) => input.events);
    expect(played[0]).toEqual({ kind: "played", timeMs: 200, endMs: 1000, text: "one two" });
  });

  test("words of the same block before the yield are not said", async () => {
    const script = (index: number) =>
      index === 0 ? [...says(" never"), { kind: "yield" } as const, ...says(" yes")] : [];
    const { session, lines } = setUp({ script }, { durationMs: 1000 });
    await session.run();
    expect(lines()).toEqual(["200 yield never", "200 speech yes", "1000 end"]);
  });
});

describe("late steps", () => {
  test("are counted and told; the next step takes in every interval that closed meanwhile", async () => {
    const clock = new VirtualClock();
    const script = async (index: number) => {
      if (index === 1) await clock.pass(430);
      return [];
    };
    const { session, model, lines } = setUp({ script }, { clock, sources: oneSecond(), settleMs: 0 });
    const summary = await session.run();
    expect(model.steps.map((inputs) => inputs.map((input) => input.index))).toEqual([[0], [1], [2, 3], [4]]);
    expect(summary).toMatchObject({ late: 1, microTurns: 5, gaps: { count: 0 } });
    expect(lines()).toContain("830 late");
  });

  test("a step that is done just before the next interval closes is on time, at that moment it is late", async () => {
    for (const [ms, late] of [
      [199, 0],
      [200, 1],
    ] as const) {
      const clock = new VirtualClock();
      const script = async (index: number) => {
        if (index === 1) await clock.pass(ms);
        return [];
      };
      const { session } = setUp({ script }, { clock, durationMs: 2000 });
      expect((await session.run()).late).toBe(late);
    }
  });

  test("take the session down the ladder and a run on time brings it back; sound is heard throughout", async () => {
    const clock = new VirtualClock();
    const script = async (index: number) => {
      if (index >= 10 && index < 16) await clock.pass(210);
      return [];
    };
    const samples = Float32Array.from({ length: 40 * 16_000 }, (_, i) => 1 + (i % 7));
    const sources = [
      new FakeMicrophone({ chunks: chunked(samples, 16_000, 100) }),
      new FakeCamera({ captureMs: Array.from({ length: 400 }, (_, i) => 100 * i) }),
    ];
    const { session, model, events } = setUp(
      { script, savings: ["shorter-output", "fewer-video-tiles"] },
      { clock, sources, settleMs: 0 },
    );
    const summary = await session.run();
    const moves = events.flatMap((event) =>
      event.kind === "degraded" ? [`${event.direction} ${event.saving}`] : [],
    );
    expect(moves).toEqual([
      "down fewer-video-tiles",
      "down lower-video-rate",
      "down shorter-output",
      "up shorter-output",
      "up lower-video-rate",
      "up fewer-video-tiles",
    ]);
    expect(model.saved[0]).toEqual([]);
    expect(model.saved.at(-1)).toEqual([]);
    expect(summary.gaps).toEqual({ count: 0, totalMs: 0 });
    const heard = model.steps.flat().map((input) => input.audio!);
    expect(heard.every((audio, turn) => audio[0] === samples[3200 * turn])).toBe(true);
  });

  test("a model that offers nothing still gets fewer pictures: every second micro-turn", async () => {
    const clock = new VirtualClock();
    const script = async (index: number) => {
      if (index < 4) await clock.pass(200);
      return [];
    };
    const sources = [new FakeCamera({ captureMs: Array.from({ length: 100 }, (_, i) => 100 * i) })];
    const { session, model, events } = setUp({ script }, { clock, sources, settleMs: 0 });
    await session.run();
    expect(events.find((event) => event.kind === "degraded")).toMatchObject({ saving: "lower-video-rate" });
    const seen = model.steps.flat().filter((input) => input.index >= 10 && input.index < 20);
    expect(seen.map((input) => input.frames.length)).toEqual([2, 0, 2, 0, 2, 0, 2, 0, 2, 0]);
  });
});

describe("ending otherwise", () => {
  test("the signal ends a session in good order, with its summary", async () => {
    const abort = new AbortController();
    const script = (index: number) => {
      if (index === 5) abort.abort();
      return index === 4 ? says(" a sentence that will be cut") : [];
    };
    const { session, events } = setUp({ script }, { sources: oneSecond(), durationMs: 60_000 });
    const summary = await session.run(abort.signal);
    expect(summary.microTurns).toBe(6);
    expect(events.at(-1)!.kind).toBe("end");
  });

  test("a recording that fails fails the session, after all before it was taken in; the speaker's file is taken back", async () => {
    const fault = new RuntimeError("invalid-media", { part: "file camera", problem: "ended early" });
    const broken: Source = {
      name: "broken",
      kind: "video",
      recorded: true,
      async *open(): AsyncGenerator<Captured> {
        yield { kind: "frame", captureMs: 0, width: 1, height: 1, rgb: new Uint8Array(3) };
        yield { kind: "frame", captureMs: 450, width: 1, height: 1, rgb: new Uint8Array(3) };
        throw fault;
      },
    };
    let discarded = 0;
    const clock = new VirtualClock();
    const speaker = new NullSpeaker(clock);
    speaker.discard = async () => {
      discarded++;
    };
    const { session, model } = setUp({}, { clock, speaker, sources: [broken] });
    await expect(session.run()).rejects.toBe(fault);
    expect(model.steps.length).toBe(2);
    expect(discarded).toBe(1);
  });

  test("a recording that cannot be opened fails the session before the first micro-turn", async () => {
    const fault = new RuntimeError("missing-file", { part: "file camera", problem: "no such file" });
    const missing: Source = {
      name: "missing",
      kind: "video",
      recorded: true,
      // biome-ignore lint/correctness/useYield: it fails before it gives anything
      async *open(): AsyncGenerator<Captured> {
        throw fault;
      },
    };
    const { session, model } = setUp({}, { sources: [missing] });
    await expect(session.run()).rejects.toBe(fault);
    expect(model.steps).toEqual([]);
  });

  test("a model that fails fails the session", async () => {
    const fault = new RuntimeError("gpu-device-lost", { part: "gpu", problem: "device lost" });
    const { session } = setUp({ script: () => Promise.reject(fault) }, { durationMs: 1000 });
    await expect(session.run()).rejects.toBe(fault);
  });

  test("an observer that throws is reported and let go; the session does not notice", async () => {
    const messages: string[] = [];
    const log: Log = { write: (level, part, message) => messages.push(`${level} ${part}: ${message}`) };
    const observers = [
      {
        step: () => {
          throw new Error("disk full");
        },
      },
    ];
    const { session } = setUp({}, { observers, log, durationMs: 1000 });
    expect((await session.run()).microTurns).toBe(5);
    expect(messages).toEqual(["error session observer: disk full"]);
  });
});
