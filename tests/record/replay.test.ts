import { expect, test } from "vitest";
import type { InteractionModel, Saving } from "../../src/core/model.ts";
import type { RecordedEntry } from "../../src/record/reader.ts";
import { replay } from "../../src/record/replay.ts";
import { type RandomStep, randomSteps } from "./random-steps.ts";

/** A model that answers with the recorded output as long as it is called as it was then. */
function faithful(steps: readonly RandomStep[]) {
  let savings: readonly Saving[] | null = null;
  let next = 0;
  const calls: string[] = [];
  const model: InteractionModel = {
    perception: { microTurnMs: 200, audioSampleRateHz: 16_000, videoFramesPerMicroTurn: 2 },
    description: { model: "faithful", backend: "cpu", adapter: "none", reason: "a test" },
    async step(inputs) {
      const step = steps[next++]!;
      calls.push("step");
      expect(inputs).toBe(step.inputs);
      expect(savings).toEqual(step.savings);
      return step.output;
    },
    async reset() {
      calls.push("reset");
      next = 0;
    },
    save(asked) {
      calls.push(`save ${asked.length}`);
      savings = asked;
    },
    async close() {},
  };
  return { model, calls };
}

async function* entriesOf(steps: readonly RandomStep[]): AsyncGenerator<RecordedEntry> {
  for (const [i, step] of steps.entries()) {
    yield { kind: "step", step };
    yield { kind: "event", event: { tMs: i, microTurn: i, kind: "late" } };
  }
}

test("a model is given each step's intervals and savings as it was then", async () => {
  const steps = randomSteps({ count: 20 });
  const { model, calls } = faithful(steps);
  const told: string[] = [];
  const result = await replay(model, entriesOf(steps), ({ kind }) => told.push(kind));
  const microTurns = steps.reduce((sum, { inputs }) => sum + inputs.length, 0);
  expect(result).toEqual({ steps: 20, microTurns, difference: null });
  // Savings change in steps 0, 1, 6, 7 and so on; the session sets none before its first step.
  expect(calls.slice(0, 5)).toEqual(["reset", "save 0", "save 2", "step", "save 0"]);
  expect(calls.filter((call) => call.startsWith("save"))).toHaveLength(1 + 8);
  expect(told).toEqual(steps.flatMap(() => ["step", "event"]));
});

test.each([
  ["a token", { tokens: [1, 2, 3] }],
  ["a word", { parts: [{ kind: "speech", text: " another" }] }],
  ["an open word", { unfinished: true }],
] as const)("%s that differs ends the replay there", async (_, change) => {
  const steps = randomSteps({ count: 5 }).map((step) => ({
    ...step,
    output: { ...step.output, tokens: [1], parts: [], unfinished: false },
  }));
  const { model } = faithful(steps);
  const step = model.step.bind(model);
  model.step = async (inputs) => {
    const output = await step(inputs);
    return inputs === steps[3]!.inputs ? { ...output, ...change } : output;
  };
  const told: string[] = [];
  const result = await replay(model, entriesOf(steps), ({ kind }) => told.push(kind));
  expect(result.steps).toBe(3);
  expect(result.difference?.recorded).toBe(steps[3]);
  expect(result.difference?.replayed).toMatchObject(change);
  expect(told).toHaveLength(6);
});

test("what JSON cannot tell apart is the same: the order of keys, and what is undefined", async () => {
  const [step] = randomSteps({ count: 1 });
  const action = { kind: "action", name: "turn", args: { a: 1, b: undefined } } as const;
  const recorded = { ...step!, output: { ...step!.output, parts: [action] } };
  const { model } = faithful([recorded]);
  const faithfully = model.step.bind(model);
  model.step = async (inputs) => {
    const { unfinished, parts: _, ...rest } = await faithfully(inputs);
    return {
      parts: [{ args: { a: 1 }, name: "turn", kind: "action" }],
      ...rest,
      ...(unfinished ? { unfinished } : {}),
    };
  };
  expect((await replay(model, entriesOf([recorded]))).difference).toBeNull();
});
