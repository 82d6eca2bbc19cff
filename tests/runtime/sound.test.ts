import { describe, expect, test } from "vitest";
import { NullSpeaker } from "../../devices/speaker/null-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../src/core/clock.ts";
import type { Playback, Played, Speech } from "../../src/core/device.ts";
import type { OutputPart } from "../../src/core/micro-turn.ts";
import type { SessionEvent } from "../../src/runtime/events.ts";
import { HeardSound, type Stretch } from "../../src/runtime/heard-sound.ts";
import { Session, type SessionOptions } from "../../src/runtime/session.ts";
import { ScriptedModel, type ScriptedModelOptions } from "./scripted-model.ts";

const T = 80;
const RATE_HZ = 24_000;
/** What a silent speaker is given first: half a micro-turn, as the fakes need nothing ahead. */
const LEAD_MS = 40;

/** A micro-turn of a tone that goes on without a seam from micro-turn to micro-turn. */
function tone(index: number, level = 0.5): OutputPart {
  const samples = new Float32Array((T / 1000) * RATE_HZ);
  for (let i = 0; i < samples.length; i++) {
    samples[i] = level * Math.sin((2 * Math.PI * 313 * (index * samples.length + i)) / RATE_HZ);
  }
  return { kind: "sound", samples, sampleRateHz: RATE_HZ };
}

const silence = (): OutputPart => tone(0, 0);
const says = (text: string, index: number): OutputPart[] => [{ kind: "text", text }, tone(index)];

/** A speaker that also writes down what it plays, each sample at its place in the session. */
class WritingSpeaker extends NullSpeaker {
  readonly written = new Map<number, number>();
  readonly pieces: Played[] = [];
  mostAheadMs = 0;
  readonly #clock: VirtualClock;
  #untilMs = 0;

  constructor(clock: VirtualClock) {
    super(clock);
    this.#clock = clock;
  }

  override play(text: string, speech: Speech): Playback {
    const nowMs = this.#clock.nowMs();
    this.mostAheadMs = Math.max(this.mostAheadMs, this.#untilMs - nowMs);
    this.#untilMs = Math.max(this.#untilMs, nowMs) + (speech.samples.length / speech.sampleRateHz) * 1000;
    const playback = super.play(text, speech);
    void playback.finished.then((played) => {
      this.pieces.push(played);
      const first = Math.round((played.startMs / 1000) * speech.sampleRateHz);
      const count = Math.round(((played.endMs - played.startMs) / 1000) * speech.sampleRateHz);
      for (let i = 0; i < count; i++) this.written.set(first + i, speech.samples[i]!);
    });
    return playback;
  }

  override flush(): void {
    this.#untilMs = this.#clock.nowMs();
    super.flush();
  }
}

function setUp(script: ScriptedModelOptions["script"], options: Partial<SessionOptions> = {}) {
  const clock = (options.clock as VirtualClock | undefined) ?? new VirtualClock();
  const model = new ScriptedModel({
    microTurnMs: T,
    audioSampleRateHz: RATE_HZ,
    videoFramesPerMicroTurn: null,
    ...(script ? { script } : {}),
  });
  const speaker = new WritingSpeaker(clock);
  const events: SessionEvent[] = [];
  const session = new Session({
    clock,
    model,
    sources: [],
    voice: new FakeVoice(),
    speaker,
    observers: [{ event: (event) => events.push(event) }],
    log: { write: () => {} },
    ...options,
  });
  const lines = () =>
    events
      .filter(({ kind }) => kind !== "end")
      .map(({ tMs, kind, ...rest }) => `${tMs} ${kind} ${"text" in rest ? rest.text : ""}`.trim());
  const played = () =>
    model.steps.flat().flatMap((input) => input.events.filter((event) => event.kind === "played"));
  return { clock, model, speaker, session, events, lines, played };
}

describe("a model that puts out sound", () => {
  test("is heard without a gap or a seam, and without a voice", async () => {
    const { session, speaker } = setUp((index) => [tone(index)], { durationMs: 4000 });
    const summary = await session.run();
    expect(summary.microTurns).toBe(50);
    const first = Math.round(((T + LEAD_MS) / 1000) * RATE_HZ);
    for (let i = 0; i < 50 * 1920; i++) {
      const expected = Math.fround(0.5 * Math.sin((2 * Math.PI * 313 * i) / RATE_HZ));
      if (speaker.written.get(first + i) !== expected) expect.fail(`sample ${i}`);
    }
    expect(session.standing.underruns).toBe(0);
    expect(speaker.mostAheadMs).toBeLessThanOrEqual(LEAD_MS);
  });

  test("its words stand where they sounded: account, transcript and what comes round", async () => {
    const script = (index: number): OutputPart[] => {
      const words: Record<number, string> = { 2: " hel", 3: "lo", 7: " you" };
      const word = words[index];
      if (word !== undefined) return says(word, index);
      return index < 10 && index >= 2 ? [tone(index)] : [silence()];
    };
    const { session, lines, played } = setUp(script, { durationMs: 2000 });
    await session.run();
    // Micro-turn 2 ends at 240 ms and sounds LEAD_MS later; "hello" sounds until "you" begins.
    const [hello, you, end] = [3 * T + LEAD_MS, 8 * T + LEAD_MS, 11 * T + LEAD_MS];
    expect(lines()).toEqual([`${hello} speech hello`, `${you} speech you`]);
    expect(session.transcript.phrases).toEqual([
      { startMs: hello, endMs: you, text: "hello" },
      { startMs: you, endMs: end, text: "you" },
    ]);
    expect(played()).toEqual([
      { kind: "played", timeMs: hello, endMs: you, text: "hello" },
      { kind: "played", timeMs: you, endMs: end, text: "you" },
    ]);
  });

  test("sound without words comes round too, silence does not", async () => {
    const { session, lines, played } = setUp((index) => [index === 3 ? tone(index) : silence()], {
      durationMs: 1000,
    });
    await session.run();
    expect(played()).toEqual([{ kind: "played", timeMs: 4 * T + LEAD_MS, endMs: 5 * T + LEAD_MS, text: "" }]);
    expect(lines()).toEqual([]);
    expect(session.transcript.phrases).toEqual([]);
  });

  test("a word is complete when nothing follows it", async () => {
    const script = (index: number): OutputPart[] =>
      index === 2 ? says(" one", 2) : index === 6 ? [{ kind: "text", text: "later" }] : [];
    const { session, lines, played } = setUp(script, { durationMs: 1000 });
    await session.run();
    expect(lines()).toEqual(["280 speech one", "560 text later"]);
    expect(played()).toEqual([{ kind: "played", timeMs: 280, endMs: 360, text: "one" }]);
  });

  test("text without sound in its block is for the screen", async () => {
    const script = (index: number): OutputPart[] =>
      index === 1
        ? [{ kind: "text", text: "line 3" }]
        : index === 2
          ? [tone(2), { kind: "text", text: "after" }]
          : [];
    const { session, lines } = setUp(script, { durationMs: 800 });
    await session.run();
    expect(lines()).toEqual(["160 text line 3", "240 text after"]);
  });

  test("a yield silences it at once, and only what was heard stands in the transcript", async () => {
    const words = [" one", " two", " thr", "ee", " four"];
    const script = (index: number): OutputPart[] =>
      index === 4
        ? [{ kind: "yield" }, ...says(words[index]!, index)]
        : index < 4
          ? says(words[index]!, index)
          : [];
    const { session, lines, speaker } = setUp(script, { durationMs: 1200 });
    await session.run();
    // At 400 ms "ee" has 40 ms to go: it began at 360.
    expect(lines()).toEqual([
      `${T + LEAD_MS} speech one`,
      `${2 * T + LEAD_MS} speech two`,
      "400 yield three",
      "440 speech four",
    ]);
    expect(session.transcript.phrases.map(({ text }) => text)).toEqual(["one", "two", "four"]);
    const cut = speaker.pieces.find(({ whole }) => !whole);
    expect(cut).toMatchObject({ endMs: 400, text: "ee" });
    expect(session.standing.underruns).toBe(0);
  });

  test("ends with its recorded sources although it never stops putting out silence", async () => {
    const { session } = setUp(() => [silence()], { sources: [recordedSound(800)], settleMs: 400 });
    expect((await session.run()).microTurns).toBe(15);
  });

  test("is heard to its end first, and let go at the limit if it never falls silent", async () => {
    const until = (lastIndex: number) => (index: number) => [index <= lastIndex ? tone(index) : silence()];
    const quiet = setUp(until(19), { sources: [recordedSound(800)], settleMs: 400 });
    // The tone sounds until 21 T + 40 ms = 1720 ms; the micro-turn at which 400 ms have passed ends at 2160 ms.
    expect((await quiet.session.run()).microTurns).toBe(27);
    const loud = setUp(until(1e9), { sources: [recordedSound(800)], settleMs: 400, settleLimitMs: 4000 });
    const summary = await loud.session.run();
    expect(summary.microTurns).toBe(60);
    expect(loud.events.at(-1)).toMatchObject({ kind: "end" });
  });
});

describe("late steps of a model that puts out sound", () => {
  /** Steps from `from` on take `lateMs` longer, so that a step takes in several micro-turns and puts out as many. */
  function late(lateMs: number, part: (index: number) => OutputPart, durationMs = 4000) {
    const clock = new VirtualClock();
    return setUp(
      async (index, inputs) => {
        if (index === 9) await clock.pass(lateMs);
        return inputs.map(({ index: one }) => part(one));
      },
      { clock, durationMs },
    );
  }

  test("a step that takes half a micro-turn longer is not heard", async () => {
    const { session, speaker } = late(LEAD_MS - 1, tone);
    await session.run();
    expect(session.standing.underruns).toBe(0);
    expect(speaker.written.size).toBe(50 * 1920 + (LEAD_MS / 1000) * RATE_HZ);
  });

  test("a later one is a pause, counted; then it goes on whole, and in silence what piled up is made up for", async () => {
    const part = (index: number) => (index < 30 ? tone(index) : silence());
    const { session, speaker } = late(200, part);
    await session.run();
    expect(session.standing).toMatchObject({ underruns: 1, dropped: { sound: 0 } });
    const heard = [...speaker.written.values()];
    const expected = Array.from({ length: 30 }, (_, index) => tone(index)).flatMap((one) =>
      one.kind === "sound" ? [...one.samples] : [],
    );
    expect(heard.filter((sample) => sample !== 0)).toEqual(expected.filter((sample) => sample !== 0));
    // At the end no more waits than at the beginning, but for less than one micro-turn.
    expect(Math.max(...speaker.pieces.map(({ endMs }) => endMs))).toBeLessThan(4000 + T + LEAD_MS + T);
  });

  test("what would come more than 400 ms late is dropped and counted", async () => {
    const { session, speaker } = late(2000, tone);
    const summary = await session.run();
    expect(summary.dropped.sound).toBeGreaterThan(10);
    expect(speaker.mostAheadMs).toBeLessThanOrEqual(400 + 1e-6);
  });
});

describe("words of sound that was heard", () => {
  function listen() {
    const told: string[] = [];
    const heard = new HeardSound({
      said: (text, startMs) => told.push(`${startMs} said ${text}`),
      heard: ({ startMs, endMs, text }: Stretch) => told.push(`${startMs}-${endMs} ${text}`.trim()),
    });
    const piece = (index: number, text: string, isAudible = true) =>
      heard.add({ text, startMs: index * T, endMs: (index + 1) * T, whole: true }, isAudible);
    return { told, heard, piece };
  }

  test("a word is told when it is complete: at the next one, or at a piece without text", () => {
    const { told, piece } = listen();
    piece(0, " a");
    piece(1, "b");
    expect(told).toEqual([]);
    piece(2, " c");
    expect(told).toEqual(["0 said ab", "0-160 ab"]);
    piece(3, "");
    expect(told.slice(2)).toEqual(["160 said c"]);
    piece(4, "", false);
    expect(told.slice(3)).toEqual(["160-320 c"]);
  });

  test("a pause in the sound ends a word", () => {
    const { told, piece } = listen();
    piece(0, " a");
    piece(3, "b");
    piece(4, "", false);
    expect(told).toEqual(["0 said a", "0-80 a", "240 said b", "240-320 b"]);
  });

  test("words that cannot be heard, as the sound comes later than the text, are words", () => {
    const { told, piece } = listen();
    piece(0, " a", false);
    piece(1, "", false);
    expect(told).toEqual(["0 said a", "0-80 a"]);
  });
});

/** A recording of silence, so long. */
function recordedSound(ms: number) {
  return {
    name: "recorded sound",
    kind: "audio" as const,
    recorded: true,
    async *open() {
      yield {
        kind: "audio" as const,
        captureMs: 0,
        sampleRateHz: RATE_HZ,
        samples: new Float32Array((ms / 1000) * RATE_HZ),
      };
    },
  };
}
