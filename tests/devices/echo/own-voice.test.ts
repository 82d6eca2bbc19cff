import { expect, test } from "vitest";
import { expectDeafToItself, heard } from "./own-voice.ts";

test("a model that speaks beside an open microphone never hears itself, and always the person", () =>
  expectDeafToItself(40));

test("without a canceller it hears itself most of the time", async () => {
  const { toItself } = await heard({ cancelled: false, seconds: 20 });
  expect(toItself.length).toBeGreaterThan(10);
});
