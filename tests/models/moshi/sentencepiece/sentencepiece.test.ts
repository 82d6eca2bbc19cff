import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseSentencePiece } from "../../../../models/moshi/sentencepiece/model-file.ts";
import { SentencePiece } from "../../../../models/moshi/sentencepiece/sentencepiece.ts";
import { TextStream } from "../../../../models/moshi/sentencepiece/text-stream.ts";
import { RuntimeError } from "../../../../src/core/errors.ts";

interface Cases {
  texts: { text: string; ids: number[]; decoded: string }[];
  ids: { ids: number[]; decoded: string }[];
}

const file = (name: string): Buffer => readFileSync(new URL(name, import.meta.url));
/** What the original library says, see make-fixture.py. */
const cases = JSON.parse(file("cases.json").toString()) as Record<"bytes" | "rules", Cases>;
const open = (name: string): SentencePiece =>
  new SentencePiece(parseSentencePiece(file(`${name}.model`), name));

describe.each(["bytes", "rules"] as const)("%s.model as the original library reads it", (name) => {
  const tokenizer = open(name);

  test.each(cases[name].texts)("encodes $text", ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test("decodes ids that no text has", () => {
    for (const { ids, decoded } of cases[name].ids) expect(tokenizer.decode(ids)).toBe(decoded);
  });

  test("has no other ids", () => {
    expect(() => tokenizer.decode([tokenizer.size])).toThrow(`expected 0 to ${tokenizer.size - 1}`);
    expect(() => tokenizer.piece(-1)).toThrow("no piece -1");
  });
});

describe("a stream of text", () => {
  const tokenizer = open("bytes");

  test("prints pieces as they come, and characters with their last byte", () => {
    const stream = new TextStream(tokenizer);
    const ids = tokenizer.encode("hello 日");
    const parts = [3, ...ids.slice(0, 2), 0, 3, ...ids.slice(2), 3, 2, 1].map((id) => stream.push(id));
    expect(parts.join("")).toBe(" hello 日");
    expect(parts.filter((part) => part === "日")).toHaveLength(1);
    expect(parts[0]).toBe("");
  });

  test("says where a character was not finished", () => {
    const stream = new TextStream(tokenizer);
    const bytes = tokenizer.encode("日").slice(-3);
    expect(stream.push(bytes[0]!)).toBe("");
    expect(stream.push(tokenizer.encode("a")[0]!)).toMatch(/^\ufffd/);
    stream.push(bytes[0]!);
    stream.reset();
    expect(stream.push(tokenizer.encode("a")[0]!)).not.toContain("\ufffd");
  });
});

describe("a file that is no tokenizer", () => {
  const good = file("rules.model");

  /** The message, if it is the right kind of error; what is read without one is counted by the caller. */
  function fault(bytes: Uint8Array): string | null {
    try {
      new SentencePiece(parseSentencePiece(bytes, "x.model")).encode("the mirror");
      return null;
    } catch (error) {
      if (error instanceof RuntimeError && error.code === "invalid-checkpoint") return error.message;
      throw error;
    }
  }

  test.each([
    ["no bytes", new Uint8Array(), "0 unknown pieces"],
    ["a length beyond the end", Uint8Array.of(0x0a, 0xff, 0xff, 0xff, 0x7f), "ends beyond byte 5"],
    ["a number without end", new Uint8Array(12).fill(0xff), "more than ten bytes"],
    ["a group", Uint8Array.of(0x0b), "kind 3"],
    ["a piece without text", Uint8Array.of(0x0a, 0x00), "without text"],
    ["17 MB", new Uint8Array(17 * 2 ** 20), "expected at most"],
    ["BPE", Buffer.concat([good, Uint8Array.of(0x12, 0x02, 0x18, 0x02)]), "type is BPE, expected unigram"],
    [
      "an unheard-of type",
      Buffer.concat([good, Uint8Array.of(0x12, 0x02, 0x18, 0x09)]),
      "type is 9, expected",
    ],
  ])("%s", (_, bytes, message) => {
    expect(fault(bytes)).toContain(message);
  });

  test("cut or changed anywhere is an error or another tokenizer, never a crash", () => {
    let state = 1;
    const next = (bound: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    };
    let faults = 0;
    for (let i = 0; i < 200; i++) {
      const changed = Uint8Array.from(good.subarray(0, i % 2 ? next(good.length) : good.length));
      if (i % 2 === 0) for (let n = 0; n < 5; n++) changed[next(changed.length)] = next(256);
      if (fault(changed) !== null) faults++;
    }
    expect(faults).toBeGreaterThan(50);
  });

  test("that is not there is said", async () => {
    await expect(SentencePiece.open("/nowhere/x.model")).rejects.toThrow("/nowhere/x.model cannot be read");
  });
});
