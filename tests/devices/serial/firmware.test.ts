import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BoardLink } from "../../../devices/serial/board-link.ts";
import { encodeFrame } from "../../../devices/serial/frame.ts";
import { frameOfHost } from "../../../devices/serial/messages.ts";
import { seededRandom } from "../../timeline/random.ts";
import { Attached, driveUntil, until } from "./attached.ts";
import { randomBytes } from "./bytes.ts";
import { hasSocat } from "./socat.ts";

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const hasCompiler = spawnSync("g++", ["--version"]).error === undefined;
const program = join(mkdtempSync(join(tmpdir(), "microturn-firmware-")), "firmware-host");
const FLAGS = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-O1"];

function compile(...args: string[]): void {
  const { status, stderr } = spawnSync("g++", [...FLAGS, ...args], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
}

/** One moment of a board's life: bytes that arrive at a time of its clock. */
interface Moment {
  atMs: number;
  bytes: Uint8Array;
}

/** Everything a host may say, in bad order, with noise, cuts and copies, over a wrap of the board's clock. */
function scriptOf(seed: number, length: number): Moment[] {
  const random = seededRandom(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  let atMs = 2 ** 32 - upTo(60_000);
  let seq = upTo(65_536);
  return Array.from({ length }, (_, n) => {
    atMs += random() < 0.05 ? upTo(1500) : upTo(80);
    const boardMs = atMs % 2 ** 32;
    const near = (spreadMs: number) => (boardMs + upTo(2 * spreadMs) - spreadMs + 2 ** 32) % 2 ** 32;
    if (random() < 0.7) seq = (seq + 1) % 65_536;
    const args = {
      speed: Math.round((2.4 * random() - 1.2) * 1e4) / 1e4,
      ...(random() < 0.05 ? { lift: 1 } : {}),
    };
    const kind = n === 0 ? 0 : random();
    const message =
      kind < 0.05
        ? ({ kind: "open", seq, nonce: upTo(4), timeoutMs: upTo(3000) } as const)
        : kind < 0.5
          ? ({ kind: "heartbeat", seq, boardMs: random() < 0.7 ? near(40) : near(3000) } as const)
          : kind < 0.95
            ? ({
                kind: "command",
                seq,
                deadlineMs: near(random() < 0.1 ? 20_000 : 400),
                name: random() < 0.9 ? "drive" : "fly",
                args,
              } as const)
            : ({ kind: "stop", seq } as const);
    const line = Uint8Array.from(encodeFrame(frameOfHost(message)));
    const chance = random();
    if (chance < 0.05) line[upTo(line.length)]! ^= 1 << upTo(8);
    const bytes =
      chance < 0.1
        ? line.subarray(0, upTo(line.length))
        : chance < 0.2
          ? Buffer.concat([randomBytes(random, 30), line])
          : line;
    return { atMs: boardMs, bytes: random() < 0.3 ? new Uint8Array() : bytes };
  });
}

/** What the TypeScript end of a board says and does in these moments, in the form of firmware-host. */
function simulated(script: readonly Moment[]): string {
  let said = "";
  let speed = 0;
  const board = new BoardLink({
    name: "host",
    actuators: [
      {
        name: "drive",
        apply: ({ speed: wanted = 0, ...others }) => {
          if (Object.keys(others).length > 0 || Math.abs(wanted) > 1) return false;
          speed = wanted;
          return true;
        },
        rest: () => {
          speed = 0;
        },
      },
    ],
    write: (bytes) => {
      said += Buffer.from(bytes).toString("latin1");
    },
  });
  for (const { atMs, bytes } of script) {
    board.receive(bytes, atMs);
    board.poll(atMs);
    said += `drive ${(speed + 0).toFixed(4)}\n`;
  }
  return said;
}

describe.skipIf(!hasCompiler)(hasCompiler ? "the firmware" : "the firmware (g++ is not installed)", () => {
  let child: ChildProcess | null = null;
  beforeAll(() => compile(here("firmware-host.cpp"), "-o", program));
  afterAll(() => {
    child?.kill("SIGKILL");
  });

  test("says and does what the simulator does, byte for byte, whatever it is told", () => {
    let commands = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const script = scriptOf(seed, 1000);
      const input = script
        .map(({ atMs, bytes }) => `${atMs} ${Buffer.from(bytes).toString("hex")}\n`)
        .join("");
      const { stdout, status } = spawnSync(program, ["script"], { input, encoding: "latin1" });
      expect(status).toBe(0);
      const expected = simulated(script);
      expect(stdout.split("\n")).toEqual(expected.split("\n"));
      commands += [...expected.matchAll(/\$a \d+ ok/g)].length;
      for (const result of ["expired", "unknown", "range", "stopped"]) expect(expected).toContain(result);
    }
    expect(commands).toBeGreaterThan(200);
  });

  test("the sketch compiles", () => {
    const sketch = here("../../../deploy/firmware/microturn-board/microturn-board.ino");
    compile("-fsyntax-only", "-include", here("arduino-stub.h"), "-x", "c++", sketch);
  });

  test.skipIf(!hasSocat)("works at the other end of a port", { timeout: 120_000 }, async () => {
    const path = join(mkdtempSync(join(tmpdir(), "microturn-firmware-")), "board");
    let moves = "";
    const plug = () => {
      child = spawn("socat", [`PTY,raw,echo=0,link=${path}`, `EXEC:${program} live`], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        moves += text;
      });
    };
    plug();
    const host = new Attached(path);
    await until(() => host.states.includes("ready"));
    await driveUntil(host, 0.5, () => moves.includes("drive 0.50"));
    await driveUntil(host, 3, () =>
      host.lines.includes("command drive refused: the board does not allow these values"),
    );
    await host.close();
    await until(() => moves.trimEnd().endsWith("drive 0.00"));
    expect(host.board.counters.badFrames).toBe(0);
  });
});
