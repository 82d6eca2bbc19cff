import { beforeAll, describe, expect, it } from "vitest";
import { loadNativeModel } from "../../../models/native/model.ts";
import { loadScene, type Scene } from "../../../src/cli/scene.ts";
import { type Account, live, scenePath, shipped } from "./demo-scene.ts";

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
