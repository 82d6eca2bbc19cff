import { describe, expect, test } from "vitest";
import { Phrases } from "../../src/runtime/phrases.ts";

/** Feeds blocks of parts; returns the phrase after each. */
function feed(blocks: { parts: string[]; unfinished?: boolean }[]): string[] {
  const phrases = new Phrases();
  return blocks.map(({ parts, unfinished = false }) => {
    for (const part of parts) phrases.add(part);
    return phrases.endBlock(unfinished);
  });
}

describe("phrases", () => {
  test("the words of one block are one phrase; pieces without a leading space join the word before", () => {
    expect(feed([{ parts: [" time", " to", " brea", "the"] }])).toEqual(["time to breathe"]);
  });

  test("each block's words go to the voice as they come", () => {
    expect(feed([{ parts: [" the"] }, { parts: [] }, { parts: [" quick"] }, { parts: ["7"] }])).toEqual([
      "the",
      "",
      "quick",
      "7",
    ]);
  });

  test("a block closed by its cap keeps its last word for the next, which may finish it", () => {
    expect(feed([{ parts: [" one", " tw"], unfinished: true }, { parts: ["elve", " three"] }])).toEqual([
      "one",
      "twelve three",
    ]);
  });

  test("a word left open by the cap is said when the next block is silent", () => {
    expect(feed([{ parts: [" nine"], unfinished: true }, { parts: [] }])).toEqual(["", "nine"]);
  });

  test("a word without end is said in the end", () => {
    const blocks = Array.from({ length: 10 }, () => ({ parts: ["a".repeat(90)], unfinished: true }));
    expect(feed(blocks).some((phrase) => phrase !== "")).toBe(true);
  });
});
