import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { main } from "../../src/cli/program.ts";
import { FakeHub } from "../hub/fake-hub.ts";
import { CapturedIo } from "./io.ts";
import { temporaryFolder } from "./media.ts";

const REPOSITORY = "kyutai/a-model";
let fake: FakeHub;
let cache: string;

beforeEach(async () => {
  fake = await FakeHub.start(REPOSITORY);
  fake.commit({ "config.json": { content: Buffer.from("{}"), lfs: false } });
  cache = temporaryFolder();
  vi.stubEnv("HF_ENDPOINT", fake.endpoint);
  vi.stubEnv("HF_TOKEN", "");
  vi.stubEnv("HF_HUB_OFFLINE", "");
  vi.stubEnv("XDG_CACHE_HOME", cache);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await fake.stop();
});

async function pull(...more: string[]): Promise<{ status: number; out: string; err: string }> {
  const io = new CapturedIo();
  const status = await main(["models", "pull", REPOSITORY, ...more], io);
  return { status, out: io.stdout, err: io.stderr };
}

test("pulls into the cache folder and says what came", async () => {
  const { status, out, err } = await pull();
  expect({ status, out }).toMatchObject({ status: 0 });
  const folder = join(cache, "microturn/models", REPOSITORY);
  expect(readFileSync(join(folder, "config.json"), "utf8")).toBe("{}");
  expect(out).toContain(`1 files, 0.0 MB in ${folder}`);
  expect(err).not.toContain("licence");
  const json = await pull("--json");
  expect(JSON.parse(json.out)).toMatchObject({
    repository: REPOSITORY,
    folder,
    files: ["config.json"],
    sizeBytes: 2,
  });
});

test.each([
  ["cc-by-nc-4.0", /comes under the licence cc-by-nc-4\.0: read http.*kyutai\/a-model before you ship it/],
  [null, /names no licence: read/],
])("the licence %s is shown before the download", async (licence, said) => {
  fake.licence = licence;
  fake.manners.push({ status: 404 });
  const { status, err } = await pull();
  expect(err).toMatch(said);
  expect(status).toBe(69);
});

test("offline only compares what stands there with its lock", async () => {
  const folder = join(temporaryFolder(), "here");
  const before = await pull("--offline", "--to", folder);
  expect(before).toMatchObject({ status: 69 });
  expect(before.err).toMatch(/does not hold kyutai\/a-model.*Pull it once without --offline/s);
  await pull("--to", folder);
  const asked = fake.seen.length;
  vi.stubEnv("HF_HUB_OFFLINE", "1");
  expect(await pull("--to", folder)).toMatchObject({ status: 0 });
  writeFileSync(join(folder, "config.json"), "[]");
  const changed = await pull("--to", folder);
  expect(changed.status).toBe(78);
  expect(changed.err).toContain("config.json (other content)");
  rmSync(join(folder, "config.json"));
  expect((await pull("--to", folder)).err).toContain("config.json (missing)");
  expect(fake.seen.length).toBe(asked);
});

test("a place that cannot be written is named", async () => {
  const file = join(temporaryFolder(), "file");
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, "");
  const { status, err } = await pull("--to", join(file, "below"));
  expect(status).toBe(75);
  expect(err).toMatch(/below cannot be made.*--to/s);
});
