import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Hub } from "../../src/hub/hub.ts";
import { PULL_LOCK, type PullOptions, pull } from "../../src/hub/pull.ts";
import { FakeHub, sha256 } from "./fake-hub.ts";

const REPOSITORY = "kyutai/a-model";
const weights = randomBytes(300_000);
const config = Buffer.from('{"dim": 4}\n');

let fake: FakeHub;
let folder: string;
let first: string;

beforeEach(async () => {
  fake = await FakeHub.start(REPOSITORY);
  first = fake.commit({
    "model.safetensors": { content: weights, lfs: true },
    "config.json": { content: config, lfs: false },
    "voices/a b.txt": { content: Buffer.from("voice"), lfs: false },
    ".gitattributes": { content: Buffer.from("* lfs"), lfs: false },
  });
  folder = join(mkdtempSync(join(tmpdir(), "microturn-pull-")), "model");
});

afterEach(() => fake.stop());

function pulled({
  token,
  idleMs = 5000,
  ...options
}: Partial<PullOptions> & { token?: string; idleMs?: number } = {}) {
  const backoff = { maxAttempts: 3, firstMs: 1, maxMs: 2 };
  const hub = new Hub({ endpoint: fake.endpoint, token, idleMs, backoff });
  return pull(hub, { repository: REPOSITORY, folder, signal: new AbortController().signal, ...options });
}

const at = (path: string) => join(folder, path);
const contentRequests = () =>
  [...fake.seen, ...fake.seenElsewhere].filter(({ path }) => !path.startsWith("/api"));

test("brings every file, and locks the folder to commit and digests", async () => {
  const lock = await pulled();
  expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
  expect(readFileSync(at("config.json")).equals(config)).toBe(true);
  expect(readFileSync(at("voices/a b.txt"), "utf8")).toBe("voice");
  expect(readdirSync(folder).sort()).toEqual(["config.json", PULL_LOCK, "model.safetensors", "voices"]);
  expect(lock).toEqual(JSON.parse(readFileSync(at(PULL_LOCK), "utf8")));
  expect(lock).toMatchObject({ repository: REPOSITORY, commit: first, licence: "apache-2.0" });
  // sha256sum is independent of ours.
  const sum = execFileSync("sha256sum", [at("config.json")], { encoding: "utf8" }).split(" ")[0];
  expect(lock.files["config.json"]).toEqual({ sizeBytes: config.length, sha256: sum });
  expect(lock.files["model.safetensors"]).toEqual({ sizeBytes: weights.length, sha256: sha256(weights) });
});

test("the token goes to the hub, and not to where it redirects", async () => {
  await pulled({ token: "hf_secret" });
  expect(fake.seen.every(({ authorization }) => authorization === "Bearer hf_secret")).toBe(true);
  expect(fake.seenElsewhere).toHaveLength(1);
  expect(fake.seenElsewhere[0]!.authorization).toBeUndefined();
  expect(readFileSync(at(PULL_LOCK), "utf8")).not.toContain("hf_secret");
});

test("what stands there and is right is not asked for again; what is wrong is", async () => {
  await pulled();
  writeFileSync(at("config.json"), '{"dim": 5}\n'); // same size, other content
  const before = contentRequests().length;
  await pulled();
  expect(contentRequests().slice(before)).toHaveLength(1);
  expect(readFileSync(at("config.json")).equals(config)).toBe(true);
});

describe("going on", () => {
  test("from where the connection was cut, as often as something arrives", async () => {
    fake.manners.push(...Array.from({ length: 6 }, () => ({ cutAfter: 40_000 })));
    await pulled();
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
    const ranges = fake.seenElsewhere.map(({ range }) => range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.slice(1)).toHaveLength(6);
    const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
    expect(starts.every((start, i) => start > (starts[i - 1] ?? 0))).toBe(true);
  });

  test("in a later pull, after one that gave up", async () => {
    fake.manners.push({ endsAfter: 100_000 }, { status: 503 }, { status: 502 }, { status: 500 });
    const fault = await pulled().catch((thrown) => thrown);
    expect(fault).toMatchObject({ code: "endpoint-failed" });
    expect(fault.message).toMatch(/answered with 50\d/);
    expect(readFileSync(at("model.safetensors.part")).equals(weights.subarray(0, 100_000))).toBe(true);
    await pulled();
    expect(fake.seenElsewhere.at(-1)!.range).toBe("bytes=100000-");
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
    expect(existsSync(at("model.safetensors.part"))).toBe(false);
  });

  test("from the beginning where the server knows no ranges", async () => {
    fake.manners.push({ cutAfter: 50_000 }, ...Array<"knows no ranges">(4).fill("knows no ranges"));
    await pulled();
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
  });

  test("after an interruption, whose part stays", async () => {
    const interrupted = new AbortController();
    fake.manners.push({ cutAfter: 70_000 }, "stalls");
    const progress = (_: string, doneBytes: number) => {
      if (doneBytes > 70_000) interrupted.abort(new Error("Ctrl-C"));
    };
    await expect(pulled({ signal: interrupted.signal, progress })).rejects.toThrow("Ctrl-C");
    expect(readFileSync(at("model.safetensors.part")).length).toBe(70_001);
    await pulled();
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
  });

  test("after a silence", async () => {
    fake.manners.push("stalls");
    await pulled({ idleMs: 200 });
    expect(fake.seenElsewhere.map(({ range }) => range)).toEqual([undefined, "bytes=1-"]);
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
  });
});

describe("content that is not what was promised", () => {
  test("of another digest is thrown away, and takes no name", async () => {
    fake.misdescribe = (sibling) =>
      sibling.lfs ? { ...sibling, lfs: { ...sibling.lfs, sha256: "0".repeat(64) } } : sibling;
    await expect(pulled()).rejects.toMatchObject({ code: "invalid-checkpoint" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("of a small file is found by its git object", async () => {
    fake.misdescribe = (sibling) =>
      sibling.rfilename === "config.json" ? { ...sibling, blobId: "1".repeat(40) } : sibling;
    await expect(pulled()).rejects.toThrow(/config\.json: its git object is [0-9a-f]{40}, expected 1{40}/);
    expect(existsSync(at("config.json"))).toBe(false);
    expect(existsSync(at(PULL_LOCK))).toBe(false);
  });

  test("that goes on and on is left at the promised size", async () => {
    fake.manners.push({ tooLongBy: 10_000_000 });
    await expect(pulled()).rejects.toThrow(/grows past the 300000 bytes/);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("of a part that an earlier pull left wrong is begun anew by the next", async () => {
    fake.manners.push({ endsAfter: 1000 }, { status: 500 }, { status: 500 }, { status: 500 });
    await pulled().catch(() => {});
    const part = readFileSync(at("model.safetensors.part"));
    part[500] = part[500]! ^ 1;
    writeFileSync(at("model.safetensors.part"), part);
    await expect(pulled()).rejects.toMatchObject({ code: "invalid-checkpoint" });
    await pulled();
    expect(readFileSync(at("model.safetensors")).equals(weights)).toBe(true);
  });
});

describe("the hub refuses", () => {
  test.each([
    [401, undefined, "invalid-configuration", /set HF_TOKEN/],
    [401, "hf_x", "invalid-configuration", /HF_TOKEN may read it/],
    [403, "hf_x", "invalid-configuration", /Accept the terms/],
    [404, undefined, "missing-file", /name and revision/],
    [418, undefined, "endpoint-failed", /answered with 418/],
  ] as const)("%i with token %s", async (status, token, code, said) => {
    fake.apiManners.push({ status });
    const fault = await pulled(token === undefined ? {} : { token }).catch((thrown) => thrown);
    expect(fault).toMatchObject({ code });
    expect(`${fault.message} ${fault.remedy ?? ""}`).toMatch(said);
    expect(fake.seen).toHaveLength(1);
  });

  test("429 is waited for as long as it asks", async () => {
    fake.apiManners.push({ status: 429, headers: { "retry-after": "1" } });
    const beganMs = performance.now();
    await pulled();
    expect(performance.now() - beganMs).toBeGreaterThan(1000);
  });

  test("429 that asks for hours is left to the person", async () => {
    fake.apiManners.push({ status: 429, headers: { "retry-after": "7200" } });
    await expect(pulled()).rejects.toMatchObject({ code: "endpoint-failed" });
    expect(fake.seen).toHaveLength(1);
  });
});

describe("a hostile or broken hub", () => {
  test.each(["../outside", "/etc/passwd", "a/../../b", "a//b", "a\\b", ".", "x/."])(
    "a file of the name %s is refused",
    async (name) => {
      fake.misdescribe = (sibling) => ({ ...sibling, rfilename: name });
      await expect(pulled()).rejects.toMatchObject({ code: "endpoint-failed" });
      expect(existsSync(folder)).toBe(false);
    },
  );

  test.each(["<html>", "[]", '{"sha": "main", "siblings": []}', '{"siblings": 1}'])(
    "metadata %s",
    async (body) => {
      fake.apiManners.push({ status: 200, body });
      await expect(pulled()).rejects.toThrow(/in another way than its API does/);
    },
  );

  test("metadata without end", async () => {
    fake.apiManners.push({ status: 200, body: " ".repeat(17 * 2 ** 20) });
    await expect(pulled()).rejects.toThrow(/longer than/);
  });

  test("a file larger than the disk is refused before it is begun", async () => {
    fake.misdescribe = (sibling) => ({ ...sibling, size: 1e15, lfs: null });
    await expect(pulled()).rejects.toThrow(/the files take \d+ MB/);
    expect(contentRequests()).toEqual([]);
  });
});

describe("the lock", () => {
  test("holds a folder to its commit until another revision is asked for", async () => {
    await pulled();
    const second = fake.commit({ "config.json": { content: Buffer.from("new"), lfs: false } });
    expect(await pulled()).toMatchObject({ commit: first });
    expect(await pulled({ revision: "main" })).toMatchObject({ commit: second });
    expect(readFileSync(at("config.json"), "utf8")).toBe("new");
  });

  test("keeps another repository out of the folder", async () => {
    await pulled();
    await expect(pulled({ repository: "kyutai/other" })).rejects.toThrow(/holds kyutai\/a-model/);
  });

  test("that is damaged is named", async () => {
    await pulled();
    writeFileSync(at(PULL_LOCK), "{");
    await expect(pulled()).rejects.toMatchObject({ code: "invalid-checkpoint" });
  });
});

test.each(["kyutai", "a/b/c", "../x", "a/..", "a b/c", ""])("'%s' is no repository", async (repository) => {
  await expect(pulled({ repository })).rejects.toMatchObject({ code: "invalid-argument" });
  expect(fake.seen).toEqual([]);
});

test.each(["ftp://x", "huggingface.co", ""])("'%s' is no hub", (endpoint) => {
  expect(() => new Hub({ endpoint })).toThrow(/not an http or https address/);
});
