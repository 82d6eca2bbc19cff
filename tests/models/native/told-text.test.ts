import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { toldText } from "../../../models/native/told-text.ts";
import type { InputEvent, ReasonerEvent } from "../../../src/core/micro-turn.ts";

const reasoner = (state: ReasonerEvent["state"], stale = false): ReasonerEvent => ({
  kind: "reasoner",
  timeMs: 0,
  task: "t",
  state,
  about: "TASK",
  text: "TEXT",
  ageMs: 0,
  stale,
});
const link = (state: "ready" | "lost"): InputEvent => ({
  kind: "device",
  timeMs: 0,
  device: "reasoner",
  state,
  detail: "why",
});

test("what is read of the reasoner is worded as README says", () => {
  const page = readFileSync(new URL("../../../models/native/README.md", import.meta.url), "utf8");
  const table = page.slice(page.indexOf("### What is read"), page.indexOf("### Embeddings"));
  const wordings = [
    reasoner("result"),
    reasoner("result", true),
    reasoner("ask"),
    reasoner("waiting"),
    reasoner("failed"),
    reasoner("refused"),
    link("ready"),
    link("lost"),
  ].map(toldText);
  expect(new Set(wordings).size).toBe(8);
  for (const wording of wordings) expect(table).toContain(`\`${wording}\``);
  // And the page has no wording that is never used.
  for (const [, quoted] of table.matchAll(/`(reasoner[^`]*)`/g)) expect(wordings).toContain(quoted);
});

test("pieces, other devices and played words are not read", () => {
  for (const state of ["accepted", "progress", "partial"] as const)
    expect(toldText(reasoner(state))).toBe("");
  expect(toldText({ kind: "device", timeMs: 0, device: "camera", state: "lost", detail: "" })).toBe("");
  expect(toldText({ kind: "played", timeMs: 0, endMs: 1, text: "one" })).toBe("");
});
