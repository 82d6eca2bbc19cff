import { expect, test } from "vitest";
import { PersonaPlex, type PersonaPlexStep, personaPlexWindow } from "../../../models/moshi/personaplex.ts";
import { fixtureModel } from "./fixture-model.ts";
import { describeWithFixture, expectWithin, type FixtureSet, rowOf } from "./fixtures.ts";

function session(fixture: FixtureSet, depthSteps: number, window = personaPlexWindow): PersonaPlex {
  // The original's cache hides the oldest key once it is full, that of the depth transformer in its 16th step too.
  const { config, model } = fixtureModel(fixture, ({ context }) => ({ window: window(context) }), 15);
  const run = fixture.tensors("prompted_run.safetensors");
  return new PersonaPlex(model, config, {
    depthSteps,
    silence: [...run("silence").data],
    sine: [...run("sine").data],
  });
}

/** The steps of the fixture's session, with the voice as codes or as it is published. */
async function steps(
  fixture: FixtureSet,
  { depthSteps = 16, inspect = false, replay = false, window = personaPlexWindow },
): Promise<PersonaPlexStep[]> {
  const run = fixture.tensors("prompted_run.safetensors");
  const personaPlex = session(fixture, depthSteps, window);
  const rows = (name: string): Float64Array[] =>
    Array.from({ length: run(name).shape[0]! }, (_, t) => rowOf(run(name), t));
  const voice = replay
    ? {
        embeddings: rows("voice_embeddings").map((row) => Float32Array.from(row)),
        cache: Int32Array.from(run("voice_cache").data),
      }
    : rows("voice_codes");
  const all: PersonaPlexStep[] = [];
  for await (const step of personaPlex.prompt({ voice, text: [...run("text_prompt").data] }, { inspect })) {
    all.push(step);
  }
  for (const user of rows("user_codes")) all.push(await personaPlex.step(user, { inspect }));
  return all;
}

function returned(fixture: FixtureSet, name: string): (number[] | null)[] {
  const tensor = fixture.tensors("prompted_run.safetensors")(name);
  return Array.from({ length: tensor.shape[0]! }, (_, t) => {
    const row = [...rowOf(tensor, t)];
    return row[0] === -2 ? null : row;
  });
}

const frames = (all: readonly PersonaPlexStep[]): (number[] | null)[] =>
  all.map(({ frame }) => frame && [...frame]);

describeWithFixture("a/personaplex", (fixture) => {
  test("a prompted session gives the original's tokens and logits", async () => {
    const run = fixture.tensors("prompted_run.safetensors");
    const all = await steps(fixture, { inspect: true });
    expect(frames(all)).toEqual(returned(fixture, "returned"));
    const present = all.filter((_, t) => run("logits_present").data[t] === 1);
    for (const [i, { sampled }] of present.entries()) {
      expectWithin(sampled!.inspected!.textLogits, rowOf(run("text_logits"), i), 4e-5);
      expectWithin(sampled!.inspected!.depthLogits, rowOf(run("audio_logits"), i), 4e-5);
    }
  });

  test("a voice as published gives the same conversation as its codes", async () => {
    const expected = returned(fixture, "returned_replay");
    const prompted = await steps(fixture, { replay: true, inspect: true });
    expect(frames(prompted).slice(8)).toEqual(expected.slice(8));
    expect(frames(prompted).slice(-30)).toEqual(returned(fixture, "returned").slice(-30));
  });

  test("eight depth steps give the same agent as sixteen", async () => {
    const eight = await steps(fixture, { depthSteps: 8 });
    expect(frames(eight)).toEqual(returned(fixture, "returned"));
  });

  test("a window of the whole context gives another conversation", async () => {
    const wide = await steps(fixture, { window: (context) => context });
    expect(frames(wide)).not.toEqual(returned(fixture, "returned"));
  });
});
