import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type FsyncPolicy, Outbox, type OutboxOptions } from "../../../src/reasoner/outbox/outbox.ts";

const writerPath = fileURLToPath(new URL("./writer.ts", import.meta.url));

function folder(): string {
  return mkdtempSync(join(tmpdir(), "microturn-outbox-"));
}

function options(changes: Partial<OutboxOptions> = {}): OutboxOptions {
  return { folder: folder(), maxBytes: 1_000_000, maxAgeMs: 3_600_000, fsync: "never", ...changes };
}

/** All that waits, oldest first. */
async function waiting(outbox: Outbox): Promise<string[]> {
  const texts: string[] = [];
  for (let record = await outbox.next(); record !== null; record = await outbox.next(record.id)) {
    texts.push(record.payload.toString());
  }
  return texts;
}

const append = (outbox: Outbox, text: string) => outbox.append(Buffer.from(text));

describe("an outbox", () => {
  test("keeps messages in order until they are acknowledged, over a restart too", async () => {
    const setup = options();
    const first = await Outbox.open(setup);
    const ids = await Promise.all(["a", "b", "c", "d"].map((text) => append(first, text)));
    expect(await waiting(first)).toEqual(["a", "b", "c", "d"]);
    first.acknowledge(ids[0]!);
    first.acknowledge(ids[2]!);
    expect(await waiting(first)).toEqual(["b", "d"]);
    await first.close();

    const second = await Outbox.open(setup);
    expect(await waiting(second)).toEqual(["b", "d"]);
    expect(await append(second, "e")).toBeGreaterThan(ids[3]!);
    expect(await waiting(second)).toEqual(["b", "d", "e"]);
    expect(second.counts).toMatchObject({ waiting: 3, tornTails: 0, corrupt: 0, expired: 0, refused: 0 });
    await second.close();
  });

  test("leaves no file when nothing waits", async () => {
    const setup = options();
    const outbox = await Outbox.open(setup);
    outbox.acknowledge(await append(outbox, "a"));
    await outbox.close();
    expect(readdirSync(setup.folder)).toEqual([]);
  });

  test("deletes segments as they are acknowledged: ten times its size passes through", async () => {
    const setup = options({ maxBytes: 20_000 });
    const outbox = await Outbox.open(setup);
    for (let i = 0; i < 200; i++) {
      const id = await append(outbox, "x".repeat(1000));
      outbox.acknowledge(id);
      expect(outbox.counts.sizeBytes).toBeLessThanOrEqual(20_000);
    }
    expect(outbox.counts.refused).toBe(0);
    await outbox.close();
  });

  test("refuses what does not fit, keeps what it has, and takes more when there is room", async () => {
    const outbox = await Outbox.open(options({ maxBytes: 10_000 }));
    const texts = Array.from({ length: 20 }, (_, i) => String(i).padEnd(1000, "."));
    const results = await Promise.allSettled(texts.map((text) => append(outbox, text)));
    // 32 bytes of head each: nine fit into 10 000.
    expect(results.map(({ status }) => status === "fulfilled")).toEqual(texts.map((_, i) => i < 9));
    expect(results[9]).toMatchObject({ reason: { code: "queue-full", exitCode: 75 } });
    expect(outbox.counts).toMatchObject({ waiting: 9, refused: 11 });
    expect(await waiting(outbox)).toEqual(texts.slice(0, 9));
    for (const result of results) if (result.status === "fulfilled") outbox.acknowledge(result.value);
    await outbox.close();

    const next = await Outbox.open(options({ maxBytes: 10_000 }));
    for (let i = 0; i < 9; i++) await append(next, texts[i]!);
    await expect(append(next, texts[9]!)).rejects.toMatchObject({ code: "queue-full" });
    for (let record = await next.next(); record !== null; record = await next.next())
      next.acknowledge(record.id);
    // The acknowledgements are written before the room is there.
    await expect.poll(() => next.counts.sizeBytes).toBeLessThan(5000);
    await append(next, texts[9]!);
    await next.close();
  });

  test("drops what grew too old, also what an earlier session left", async () => {
    let nowMs = 1_000_000;
    const setup = options({ maxAgeMs: 10_000, wallMs: () => nowMs, monotonicMs: () => nowMs });
    const outbox = await Outbox.open(setup);
    await append(outbox, "old");
    nowMs += 6000;
    await append(outbox, "young");
    nowMs += 5000;
    expect(await waiting(outbox)).toEqual(["young"]);
    expect(outbox.counts.expired).toBe(1);
    await outbox.close();
    nowMs += 6000;
    const next = await Outbox.open(setup);
    expect(await waiting(next)).toEqual([]);
    expect(next.counts.expired).toBe(1);
    await next.close();
  });

  test("a wall clock that jumps while it is open makes nothing old", async () => {
    let wallMs = 0;
    const outbox = await Outbox.open(options({ wallMs: () => wallMs, monotonicMs: () => 5000 }));
    await append(outbox, "written in 1970");
    wallMs = Date.now();
    expect(await waiting(outbox)).toEqual(["written in 1970"]);
    await outbox.close();
  });

  test("is of one session alone", async () => {
    const setup = options();
    const outbox = await Outbox.open(setup);
    await expect(Outbox.open(setup)).rejects.toMatchObject({ code: "invalid-configuration" });
    await outbox.close();
    await (await Outbox.open(setup)).close();
  });
});

describe("damage", () => {
  /** A folder of one segment with these messages. */
  async function written(texts: readonly string[]): Promise<{ setup: OutboxOptions; path: string }> {
    const setup = options();
    const outbox = await Outbox.open(setup);
    await Promise.all(texts.map((text) => append(outbox, text)));
    await outbox.close();
    const [name] = readdirSync(setup.folder);
    return { setup, path: join(setup.folder, name!) };
  }

  test("a torn tail is dropped once and counted", async () => {
    const { setup, path } = await written(["a", "b"]);
    const whole = readFileSync(path);
    appendFileSync(path, whole.subarray(0, 20));
    const outbox = await Outbox.open(setup);
    expect(await waiting(outbox)).toEqual(["a", "b"]);
    expect(outbox.counts).toMatchObject({ tornTails: 1, corrupt: 0 });
    await outbox.close();
    expect(readFileSync(path)).toEqual(whole);
    const next = await Outbox.open(setup);
    expect(next.counts.tornTails).toBe(0);
    await next.close();
  });

  test("a damaged middle is passed over and counted", async () => {
    const { setup, path } = await written(["a", "b", "c"]);
    const bytes = readFileSync(path);
    bytes[bytes.length / 3 + 32]! ^= 0x40;
    writeFileSync(path, bytes);
    const outbox = await Outbox.open(setup);
    expect(await waiting(outbox)).toEqual(["a", "c"]);
    expect(outbox.counts).toMatchObject({ corrupt: 1, tornTails: 0 });
    await outbox.close();
  });

  test("what rots while it waits is not handed out", async () => {
    const { setup, path } = await written(["a", "b", "c"]);
    const outbox = await Outbox.open(setup);
    const bytes = readFileSync(path);
    bytes[32]! ^= 1;
    writeFileSync(path, bytes);
    expect(await waiting(outbox)).toEqual(["b", "c"]);
    expect(outbox.counts.corrupt).toBe(1);
    await outbox.close();
  });

  test("files of other names are left alone", async () => {
    const setup = options();
    writeFileSync(join(setup.folder, "notes.txt"), "mine");
    const outbox = await Outbox.open(setup);
    await outbox.close();
    expect(readdirSync(setup.folder)).toEqual(["notes.txt"]);
  });
});

/** The lines that the writer printed; `prefix` is put before its command. */
function writer(setup: OutboxOptions, numbers: readonly number[], prefix = "") {
  const command = `"${process.execPath}" --import tsx "${writerPath}" "${setup.folder}" ${setup.fsync} ${numbers.join(" ")}`;
  const { stdout, stderr, ...end } = spawnSync("sh", ["-c", `${prefix} exec ${command}`], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  const lines = stdout.trim().split("\n");
  const numbered = (word: string) =>
    lines.filter((line) => line.startsWith(word)).map((line) => Number(line.split(" ")[1]));
  return { ...end, lines, promised: numbered("promised"), refused: numbered("refused") };
}

describe("a process killed with -9 in the middle of 500 writes", () => {
  test.each<[FsyncPolicy, number]>([
    ["record", 30],
    ["record", 230],
    ["interval", 111],
    ["never", 333],
  ])("fsync %s, after %i promises: all that was promised is there", async (fsync, killAfter) => {
    const setup = options({ fsync });
    const { promised, signal } = writer(setup, [500, 300, killAfter]);
    expect(signal).toBe("SIGKILL");
    expect(promised).toHaveLength(killAfter);
    const outbox = await Outbox.open(setup);
    const kept = new Set((await waiting(outbox)).map((text) => Number(text.split(" ")[1])));
    expect(promised.filter((number) => !kept.has(number))).toEqual([]);
    // Beside them may stand what was on its way, and what was acknowledged a moment before.
    expect(kept.size - promised.length).toBeLessThanOrEqual(10);
    expect(outbox.counts.corrupt).toBe(0);
    await outbox.close();
  });
});

describe("a disk that is full", () => {
  async function expectHonest(setup: OutboxOptions, prefix: string): Promise<void> {
    const { status, lines, promised, refused } = writer(setup, [50, 2000, 0], prefix);
    expect(status).toBe(0);
    expect(refused.length).toBeGreaterThan(5);
    for (const line of lines.filter((text) => text.startsWith("refused")))
      expect(line).toMatch(/output-failed$/);
    expect(promised.length).toBeGreaterThan(4);
    expect(JSON.parse(lines.at(-1)!).failedWrites).toBeGreaterThan(0);
    const outbox = await Outbox.open(setup);
    const kept = (await waiting(outbox)).map((text) => Number(text.split(" ")[1]));
    expect(kept.filter((number) => number % 10 !== 9)).toEqual(promised);
    expect(outbox.counts).toMatchObject({ corrupt: 0, tornTails: 0 });
    await outbox.close();
  }

  test("a small file system: refuses by name, keeps what it promised, leaves no torn record", async (context) => {
    const setup = options();
    const disk = join(setup.folder, "disk");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=40k", "tmpfs", disk], { stdio: "ignore" });
    } catch {
      context.skip("a small disk can be made by root only");
    }
    try {
      await expectHonest({ ...setup, folder: disk }, "");
    } finally {
      execFileSync("umount", [disk]);
      rmSync(setup.folder, { recursive: true });
    }
  });

  test("a write that the system cuts short (RLIMIT_FSIZE)", async () => {
    const setup = options();
    // In blocks of 512 bytes; the trap makes it an error of write(2) instead of a signal.
    await expectHonest(setup, "trap '' XFSZ; ulimit -f 40;");
  });
});
