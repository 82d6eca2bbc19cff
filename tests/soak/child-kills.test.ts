import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { LiveCamera } from "../../devices/camera/live-camera.ts";
import { Program } from "../../devices/media/child.ts";
import { LiveMicrophone } from "../../devices/microphone/live-microphone.ts";
import { LiveSpeaker } from "../../devices/speaker/live-speaker.ts";
import { RealClock } from "../../src/core/clock.ts";
import type { Source } from "../../src/core/device.ts";
import { seededRandom } from "../timeline/random.ts";

/** CHILD_KILLS=200 for the full measure: three minutes. */
const KILLS = Number(process.env.CHILD_KILLS ?? 40);
/** Kills from one look at the memory to the next. */
const LOOK_EVERY = Math.ceil(KILLS / 20);
/** Session time runs this much faster than the machine's, so that nobody waits for seconds until a device is back. */
const HASTE = 20;
const RATE_HZ = 8000;

/** The newest child process of a device, of those that it started one after the other. */
class Children {
  started = 0;
  #newest: Program | null = null;
  readonly #script: string;

  /** @param script what the child does, for sh. */
  constructor(script: string) {
    this.#script = script;
  }

  readonly launch = (signal: AbortSignal): Program => {
    const args = ["-c", this.#script];
    const program = new Program({ part: "child", command: "sh", args, remedy: "", signal, fed: true });
    this.started++;
    this.#newest = program;
    return program;
  };

  /** Kills it with signal 9 and waits for its end. @returns false if none runs. */
  async kill(): Promise<boolean> {
    const program = this.#newest;
    this.#newest = null;
    program?.kill();
    await program?.ended;
    return program !== null;
  }
}

function memoryBytes(): number {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Open pipes and processes of this process. */
const handles = () =>
  process.getActiveResourcesInfo().filter((name) => name === "PipeWrap" || name === "ProcessWrap").length;

test(`${KILLS} kills of real child processes: each device comes back, nothing is left behind`, async () => {
  const clock = new RealClock(() => HASTE * performance.now());
  const random = seededRandom(31);
  const stop = new AbortController();
  const handlesBefore = handles();
  // Each gives something at once and then goes on until it is killed.
  const gives = (bytes: number) => `printf %${bytes}s; while read -r line; do :; done`;
  const children = {
    microphone: new Children(gives(320)),
    camera: new Children(gives(48)),
    speaker: new Children("exec cat > /dev/null"),
  };
  const common = { remedy: "", random, sampleRateHz: RATE_HZ, channels: 1 };
  const microphone = new LiveMicrophone({
    ...common,
    name: "microphone",
    latencyMs: 0,
    launch: children.microphone.launch,
  });
  const camera = new LiveCamera({
    ...common,
    name: "camera",
    width: 4,
    height: 4,
    rotate: 0,
    mirror: false,
    launch: async (signal) => children.camera.launch(signal),
  });
  const speaker = new LiveSpeaker({
    ...common,
    name: "speaker",
    clock,
    bufferMs: 25,
    startMs: 10,
    reports: false,
    launch: children.speaker.launch,
  });
  const told: Record<string, string[]> = { microphone: [], camera: [], speaker: [] };
  const drain = async (source: Source) => {
    for await (const item of source.open(clock, stop.signal)) {
      if (item.kind === "event" && item.event.kind === "device") told[source.name]!.push(item.event.state);
    }
  };
  const sources = [microphone, camera, speaker.states];
  await Promise.all(sources.map((source) => source.prepare?.(stop.signal)));
  clock.start();
  const draining = Promise.all(sources.map(drain));

  let kills = 0;
  let unheard = 0;
  const memory: number[] = [];
  while (kills < KILLS) {
    const kind = (["microphone", "camera", "speaker"] as const)[Math.floor(3 * random())]!;
    void speaker
      .play("phrase", { sampleRateHz: RATE_HZ, samples: new Float32Array(800) })
      .finished.then(({ whole }) => {
        if (!whole) unheard++;
      });
    if (await children[kind].kill()) {
      kills++;
      if (kills % LOOK_EVERY === 0) memory.push(memoryBytes());
    }
    await clock.sleepUntil(clock.nowMs() + 100);
  }
  // Each comes back after the last kill.
  const isBack = (states: string[]) => states.length > 0 && states.at(-1) === "ready";
  while (!Object.values(told).every(isBack)) await clock.sleepUntil(clock.nowMs() + 100);
  const played = await speaker.play("at last", { sampleRateHz: RATE_HZ, samples: new Float32Array(800) })
    .finished;
  expect(played.whole).toBe(true);
  expect(unheard).toBeGreaterThan(0);
  // One listener for what runs, and for each loop that waits: not one for each that ever ran.
  expect(getEventListeners(stop.signal, "abort").length).toBeLessThan(15);
  stop.abort();
  await draining;
  await Promise.all(Object.values(children).map((child) => child.kill()));
  for (const states of Object.values(told)) {
    states.forEach((state, i) => {
      expect(state).toBe(i % 2 === 0 ? "lost" : "ready");
    });
  }
  for (const { started } of Object.values(children)) expect(started).toBeGreaterThan(KILLS / 10);
  await new Promise(setImmediate);
  // Those of the last few may still be closing, and a worker's own output opens two; each kill would have left three.
  expect(handles()).toBeLessThan(handlesBefore + 10);
  const [early, late] = [Math.max(...memory.slice(0, 5)), Math.min(...memory.slice(-5))];
  console.log(JSON.stringify({ kills, unheard, early, late }));
  expect(late).toBeLessThan(early + 4_000_000);
}, 300_000);
