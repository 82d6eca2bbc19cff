import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FileCamera } from "../../../devices/camera/file-camera.ts";
import { typedText, voiceFrom } from "../../../devices/devices.ts";
import { FileMicrophone } from "../../../devices/microphone/file-microphone.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { loadNativeModel } from "../../../models/native/model.ts";
import { loadScene, type Scene } from "../../../src/cli/scene.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import type { InteractionModel } from "../../../src/core/model.ts";
import type { SessionEvent } from "../../../src/runtime/events.ts";
import { Session } from "../../../src/runtime/session.ts";
import { describeOnGpu } from "../../kernels/harness.ts";

// What the checkpoint that ships does in the demonstration's scene, which training has not drawn.
const shipped = fileURLToPath(new URL("../../../models/native/shipped/", import.meta.url));
const scenePath = fileURLToPath(new URL("../../../deploy/demo/scene.json", import.meta.url));

interface Account {
  events: SessionEvent[];
  /** Per step, every token that the model chose. */
  tokens: number[][];
}

async function live(model: InteractionModel, scene: Scene, durationMs: number): Promise<Account> {
  const account: Account = { events: [], tokens: [] };
  const clock = new VirtualClock();
  const voice = voiceFrom("fake");
  const session = new Session({
    clock,
    model,
    voice,
    sources: [
      new FileCamera(scene.video!),
      new FileMicrophone(scene.microphone!, model.perception.audioSampleRateHz!),
      typedText(scene.typed.map(({ timeS, text }) => ({ seconds: timeS, text }))),
    ],
    speaker: new NullSpeaker(clock),
    observers: [
      {
        event: (event) => account.events.push(event),
        step: ({ output }) => account.tokens.push([...output.tokens]),
      },
    ],
    durationMs,
  });
  await session.run();
  await voice.close();
  return account;
}

describe("the shipped checkpoint in the demonstration's scene", () => {
  let scene: Scene;
  let account: Account;
  const spoken = () =>
    account.events.flatMap((event) =>
      event.kind === "speech" ? [{ timeS: event.tMs / 1000, text: event.text }] : [],
    );

  beforeAll(async () => {
    scene = await loadScene(scenePath);
    const model = await loadNativeModel({ directory: shipped, backend: "cpu" });
    account = await live(model, scene, scene.durationS * 1000);
    await model.close();
  }, 120_000);

  it("says a number for each repetition, within 1 of the truth at the end", () => {
    const questionS = scene.typed.find(({ text }) => text.startsWith("how many"))!.timeS;
    const counts = spoken().filter(({ timeS, text }) => /^\d+$/.test(text) && timeS < questionS);
    expect(counts.map(({ text }) => Number(text))).toEqual(counts.map((_, i) => i + 1));
    expect(Math.abs(counts.length - scene.truth.reps.length)).toBeLessThanOrEqual(1);
  });

  it("reminds on time", () => {
    for (const { timeS, text } of scene.truth.due) {
      const nearest = spoken().filter(
        (said) => said.text.includes(text) && Math.abs(said.timeS - timeS) <= 0.4,
      );
      expect(nearest, `'${text}' at ${timeS} s`).toHaveLength(1);
    }
  });

  it("gives way to the person who interrupts, and not before", () => {
    const startMs = scene.truth.speech[0]!.startS * 1000;
    const yields = account.events.filter((event) => event.kind === "yield").map(({ tMs }) => tMs);
    expect(yields).toHaveLength(1);
    expect(yields[0]).toBeGreaterThan(startMs);
    expect(yields[0]).toBeLessThanOrEqual(startMs + 600);
  });
});

describeOnGpu("the shipped checkpoint on both backends", () => {
  let gpu: InteractionModel;
  let cpu: InteractionModel;
  beforeAll(async () => {
    gpu = await loadNativeModel({ directory: shipped, backend: "gpu" });
    cpu = await loadNativeModel({ directory: shipped, backend: "cpu" });
  });
  afterAll(async () => {
    await gpu.close();
    await cpu.close();
  });

  it("chooses the same tokens for a whole session", async () => {
    const scene = await loadScene(scenePath);
    const durationMs = scene.durationS * 1000;
    const [onGpu, onCpu] = [await live(gpu, scene, durationMs), await live(cpu, scene, durationMs)];
    expect(onGpu.tokens).toEqual(onCpu.tokens);
    expect(onGpu.tokens.flat().length).toBeGreaterThan(onGpu.tokens.length); // it did speak
  }, 240_000);
});
