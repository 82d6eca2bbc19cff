import { microphoneFrom, speakerFrom } from "../../devices/devices.ts";
import { LiveSpeaker } from "../../devices/speaker/live-speaker.ts";
import { FakeVoice } from "../../devices/voice/fake-voice.ts";
import { devicesSchema } from "../../src/config/devices.ts";
import { RealClock } from "../../src/core/clock.ts";
import type { Speaker } from "../../src/core/device.ts";
import type { OutputPart } from "../../src/core/micro-turn.ts";
import { percentile } from "../../src/observe/percentile.ts";
import { Session } from "../../src/runtime/session.ts";
import { SoundServer } from "../devices/live/sound-server.ts";
import { ScriptedModel } from "../runtime/scripted-model.ts";

/*
 * How long a live session takes to answer a sound, and to fall silent: tsx tests/bench/sound-latency.ts [ROUNDS [SINK]]
 *
 * A sound server without hardware has the sinks "room", whose monitor is the session's microphone, and "out". Two further
 * microphones, which know nothing of the session, listen to both and give the times of what really sounded. The model
 * speaks at the first sound that it hears, and gives way at the second.
 */

const RATE_HZ = 16_000;
const LOUD = 0.05;
const rounds = Number(process.argv[2] ?? 20);
/** pulse:out, or alsa:out, which leads to the same sink through aplay. */
const sink = process.argv[3] ?? "pulse:out";
const { microphone: settings, speaker: speakerSettings } = devicesSchema.parse({});

/** Session times at which a sink became loud or silent, ms. */
class Ear {
  readonly onsetsMs: number[] = [];
  lastLoudMs = Number.NEGATIVE_INFINITY;

  async listen(spec: string, clock: RealClock, signal: AbortSignal): Promise<void> {
    const ear = microphoneFrom(spec, RATE_HZ, settings)!;
    await ear.prepare!(signal);
    void (async () => {
      for await (const item of ear.open(clock, signal)) {
        if (item.kind !== "audio") continue;
        for (const [i, sample] of item.samples.entries()) {
          if (Math.abs(sample) < LOUD) continue;
          const ms = item.captureMs + (i / RATE_HZ) * 1000;
          if (ms - this.lastLoudMs > 150) this.onsetsMs.push(ms);
          this.lastLoudMs = ms;
        }
      }
    })();
  }

  /** The first onset after `fromMs`, when it is there; null after 3 s. */
  async onsetAfter(fromMs: number, clock: RealClock): Promise<number | null> {
    while (clock.nowMs() < fromMs + 3000) {
      const onset = this.onsetsMs.find((ms) => ms >= fromMs);
      if (onset !== undefined) return onset;
      await clock.sleepUntil(clock.nowMs() + 5);
    }
    return null;
  }
}

async function opened(spec: string, clock: RealClock, signal: AbortSignal): Promise<Speaker> {
  const speaker = speakerFrom(spec, clock, speakerSettings);
  await speaker.states!.prepare!(signal);
  void (async () => {
    for await (const item of speaker.states!.open(clock, signal)) console.error(JSON.stringify(item));
  })();
  return speaker;
}

const server = new SoundServer();
await server.start();
const clock = new RealClock();
const stop = new AbortController();
const [room, out] = [new Ear(), new Ear()];
const person = await opened("pulse:room", clock, stop.signal);
await room.listen("pulse:room.monitor", clock, stop.signal);
await out.listen("pulse:out.monitor", clock, stop.signal);

/** Session times of the present round, ms. */
let round = { closedMs: 0, steppedMs: 0, spokeMs: 0, yieldedMs: 0 };
let state: "quiet" | "heard" | "spoke" = "quiet";
const model = new ScriptedModel({
  videoFramesPerMicroTurn: null,
  script: (_, inputs): OutputPart[] => {
    model.steps.length = 0;
    const loud = inputs.some(({ audio }) => audio!.some((sample) => Math.abs(sample) > LOUD));
    const { startMs, durationMs } = inputs.at(-1)!;
    if (state === "quiet" && loud) {
      state = "spoke";
      round = { ...round, closedMs: startMs + durationMs, steppedMs: clock.nowMs() };
      return [{ kind: "speech", text: " aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }];
    }
    if (state === "heard" && loud) {
      state = "spoke";
      round.yieldedMs = clock.nowMs();
      return [{ kind: "yield" }];
    }
    return [];
  },
});
const speaker = speakerFrom(sink, clock, speakerSettings);
const session = new Session({
  clock,
  model,
  sources: [microphoneFrom("pulse:room.monitor", RATE_HZ, settings)!, speaker.states!],
  voice: new FakeVoice(),
  speaker,
  log: { write: (level, part, message) => console.error(level, part, message) },
  observers: [
    {
      event(event) {
        if (event.kind === "speech") round.spokeMs = event.tMs;
      },
    },
  ],
});
const running = session.run(stop.signal);
const beep = {
  sampleRateHz: RATE_HZ,
  samples: Float32Array.from({ length: 1600 }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 400 * i) / RATE_HZ)),
};

const results: Record<string, number[]> = {
  "reaction: sound at the source to first sample at the sink": [],
  "of it: until the micro-turn closes": [],
  "of it: until the step begins": [],
  "of it: voice and output buffers": [],
  "told start against heard": [],
  "flush: giving way to silence at the sink": [],
};
const [reaction, closing, stepping, output, told, flush] = Object.values(results) as number[][];
let lost = 0;
await clock.sleepUntil(1500);
for (let n = 0; n < rounds; n++) {
  // An answer that was not cut short is heard out first.
  while (clock.nowMs() - Math.max(out.lastLoudMs, room.lastLoudMs) < 700)
    await clock.sleepUntil(clock.nowMs() + 50);
  await clock.sleepUntil(clock.nowMs() + 200 * Math.random());
  state = "quiet";
  const fromMs = clock.nowMs();
  person.play("beep", beep);
  const soundMs = await room.onsetAfter(fromMs, clock);
  const answerMs = await out.onsetAfter(fromMs, clock);
  if (soundMs === null || answerMs === null) {
    lost++;
    continue;
  }
  reaction!.push(answerMs - soundMs);
  closing!.push(round.closedMs - soundMs);
  stepping!.push(round.steppedMs - round.closedMs);
  output!.push(answerMs - round.steppedMs);
  await clock.sleepUntil(clock.nowMs() + 500);
  // By now it has been told for certain.
  told!.push(round.spokeMs - answerMs);
  round.yieldedMs = 0;
  state = "heard";
  person.play("beep", beep);
  for (let waited = 0; waited < 300 && round.yieldedMs === 0; waited++)
    await clock.sleepUntil(clock.nowMs() + 10);
  await clock.sleepUntil(clock.nowMs() + 400);
  if (round.yieldedMs > 0) flush!.push(out.lastLoudMs - round.yieldedMs);
}
stop.abort();
const summary = await running;
await server.stop();
const figure = (values: number[], share: number) =>
  Number(
    percentile(
      [...values].sort((a, b) => a - b),
      share,
    ).toFixed(1),
  );
for (const [measure, values] of Object.entries(results)) {
  console.log(
    JSON.stringify({
      measure,
      count: values.length,
      medianMs: figure(values, 0.5),
      p95Ms: figure(values, 0.95),
    }),
  );
}
const underruns = speaker instanceof LiveSpeaker ? speaker.underruns : 0;
console.log(
  JSON.stringify({
    rounds,
    lost,
    underruns,
    gaps: summary.gaps,
    microTurns: summary.microTurns,
    late: summary.late,
  }),
);
process.exit(0);
