import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parseNativeConfig } from "../../../models/native/config.ts";
import { OutputDecoder } from "../../../models/native/output.ts";
import { TextQueue } from "../../../models/native/text-queue.ts";
import { NativeTokenizer } from "../../../models/native/tokenizer.ts";
import { TINY_CONFIG, tinyTokenizer } from "./random-checkpoint.ts";

const { next, typed, yield: giveWay } = TINY_CONFIG.tokens;
const tokenizer = NativeTokenizer.parse(JSON.stringify(tinyTokenizer(320)), TINY_CONFIG, "tiny");

const textOf = (ids: readonly number[]) =>
  new TextDecoder().decode(Buffer.concat(ids.map((id) => tokenizer.bytes(id))));

/** The id of a single byte in the tiny vocabulary. */
const byte = (value: number) => 4 + value;

test("typed text begins with <typed> and one space, in lower case", () => {
  const ids = tokenizer.encodeTyped("Count 1");
  expect(ids[0]).toBe(typed);
  // "▁count", "▁1": two merged words
  expect(ids.length).toBe(3);
  expect(textOf(ids)).toBe(" count 1");
  expect(tokenizer.encodeTyped("  count 1\n")).toEqual(ids);
});

test("a text without words is no text", () => {
  for (const text of ["", "   ", "\n\t"]) expect(tokenizer.encodeTyped(text)).toEqual([]);
});

test.each(["é", "日本語", "👍🏽 ok", "e\u0301", "\u0000", "a\u2581b".replace("\u2581", "-")])(
  "what the alphabet lacks goes through bytes: %s",
  (text) => {
    expect(textOf(tokenizer.encodeTyped(text))).toBe(` ${text.toLowerCase()}`);
  },
);

test("a special token that is typed by name is not one", () => {
  const ids = tokenizer.encodeTyped("a<yield>b <next> <typed> <pad>");
  expect(ids.slice(1).some((id) => id < 4)).toBe(false);
  expect(ids[0]).toBe(typed);
});

test("a very long text is cut before it is encoded", () => {
  const ids = tokenizer.encodeTyped("z".repeat(1_000_000));
  expect(ids.length).toBeLessThanOrEqual(4002);
});

test("said tokens become words, give way stands between them, <next> is nothing", () => {
  const output = new OutputDecoder(TINY_CONFIG, tokenizer);
  const [, one, count] = tokenizer.encodeTyped("1 count");
  expect(output.decode([one!, count!, next])).toEqual([{ kind: "speech", text: " 1 count" }]);
  expect(output.decode([one!, giveWay, count!, next])).toEqual([
    { kind: "speech", text: " 1" },
    { kind: "yield" },
    { kind: "speech", text: " count" },
  ]);
  expect(output.decode([next])).toEqual([]);
  expect(output.decode([])).toEqual([]);
});

test("a character is given out when its last byte has come, even a micro-turn later", () => {
  const output = new OutputDecoder(TINY_CONFIG, tokenizer);
  expect(output.decode([byte(0xe2), byte(0x82), next])).toEqual([]);
  expect(output.decode([byte(0xac), next])).toEqual([{ kind: "speech", text: "€" }]);
  // A character that is never finished is replaced, and what follows is whole.
  expect(output.decode([byte(0xe2), byte(0x41), next])).toEqual([{ kind: "speech", text: "\ufffdA" }]);
  output.decode([byte(0xe2), next]);
  output.reset();
  expect(output.decode([byte(0x41), next])).toEqual([{ kind: "speech", text: "A" }]);
});

test("typed text waits its turn, in order, and the queue has a bound", () => {
  const queue = new TextQueue(8);
  expect(queue.add([1, 2, 3, 4, 5])).toBe(0);
  expect(queue.add([6, 7, 8, 9, 10])).toBe(0);
  expect(queue.take()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(queue.take()).toEqual([9, 10]);
  expect(queue.take()).toEqual([]);
  expect(queue.add(Array(2500).fill(7))).toBe(100);
  expect(queue.add([1])).toBe(1);
  queue.clear();
  expect(queue.take()).toEqual([]);
});

/** What the cases below change of a tokenizer.json. */
interface TokenizerDocument {
  model: { vocab: Record<string, number> };
  added_tokens: { content: string }[];
}

test.each<[string, (document: TokenizerDocument) => void, RegExp]>([
  ["is a word list", (d) => Object.assign(d.model, { type: "WordLevel" }), /not a BPE tokenizer/],
  [
    "has a token past the vocabulary",
    (d) => Object.assign(d.model.vocab, { more: 320 }),
    /token 320 is past the vocabulary of 320/,
  ],
  [
    "has other special tokens",
    (d) => Object.assign(d.added_tokens[1]!, { content: "<eos>" }),
    /token 1 is <eos>, expected <next>/,
  ],
])("a tokenizer that %s is refused", (_, change, message) => {
  const changed = tinyTokenizer(320) as TokenizerDocument;
  change(changed);
  expect(() => NativeTokenizer.parse(JSON.stringify(changed), TINY_CONFIG, "file")).toThrow(message);
});

test("a tokenizer that is not JSON is refused", () => {
  expect(() => NativeTokenizer.parse("{", TINY_CONFIG, "file")).toThrow(/file: is not a BPE tokenizer/);
});

test("the shipped tokenizer says every number to 199 in one token and gives any text back", async () => {
  const shipped = new URL("../../../models/native/shipped/", import.meta.url);
  const config = parseNativeConfig(await readFile(new URL("config.json", shipped), "utf8"), "shipped");
  const json = await readFile(new URL("tokenizer.json", shipped), "utf8");
  const words = NativeTokenizer.parse(json, config, "shipped");
  for (let n = 0; n < 200; n++) {
    const ids = words.encodeTyped(String(n));
    expect(ids.length).toBe(2);
    expect(new TextDecoder().decode(words.bytes(ids[1]!))).toBe(` ${n}`);
  }
  const text = "remind me to breathe every 4 seconds, größe 日本!";
  const bytes = words.encodeTyped(text).map((id) => words.bytes(id));
  expect(new TextDecoder().decode(Buffer.concat(bytes))).toBe(` ${text}`);
});
