import { beforeEach, describe, expect, test } from "vitest";
import { BoardLink } from "../../../devices/serial/board-link.ts";
import type { CommandFault } from "../../../devices/serial/command-sender.ts";
import { encodeFrame } from "../../../devices/serial/frame.ts";
import { HostLink, type LinkCounters, noLinkCounts } from "../../../devices/serial/host-link.ts";
import { frameOfHost } from "../../../devices/serial/messages.ts";
import { seededRandom } from "../../timeline/random.ts";
import { randomBytes } from "./bytes.ts";

const HEARTBEAT_MS = 500;
/** The board's clock has another origin and wraps in mid-test. */
const BOARD_ORIGIN_MS = 2 ** 32 - 1000;

/** What a wire does to bytes that are sent into it; none: they do not arrive. */
type Wire = (bytes: Uint8Array) => Uint8Array[];
const clean: Wire = (bytes) => [bytes];

function kindOf(line: Uint8Array): string {
  return String.fromCharCode(line[1]!);
}

/** Both ends on one bench, with a wire between them and time in hand. */
class Bench {
  nowMs = 0;
  toBoard: Wire = clean;
  toHost: Wire = clean;
  readonly events: string[] = [];
  readonly faults: CommandFault[] = [];
  readonly done: string[] = [];
  readonly applied: number[] = [];
  speed = 0;
  hostAlive = true;
  readonly counters: LinkCounters = noLinkCounts();
  readonly board = new BoardLink({
    name: "bench",
    actuators: [
      {
        name: "drive",
        apply: ({ speed = 0 }) => {
          if (Math.abs(speed) > 1) return false;
          this.applied.push(speed);
          this.speed = speed;
          return true;
        },
        rest: () => {
          this.speed = 0;
        },
      },
    ],
    write: (bytes) => {
      if (!this.hostAlive) return;
      for (const arrived of this.toHost(bytes)) this.host.receive(arrived, this.nowMs);
    },
  });
  host = this.newHost(77);

  newHost(nonce: number): HostLink {
    return new HostLink(
      {
        heartbeatMs: HEARTBEAT_MS,
        nonce,
        listener: {
          ready: (name) => this.events.push(`ready ${name}`),
          line: (text) => this.events.push(`line ${text}`),
          done: (name) => this.done.push(name),
          fault: (fault) => this.faults.push(fault),
          lost: (detail) => this.events.push(`lost ${detail}`),
        },
      },
      this.counters,
    );
  }

  get boardMs(): number {
    return (BOARD_ORIGIN_MS + this.nowMs) % 2 ** 32;
  }

  write(bytes: Uint8Array): void {
    for (const arrived of this.toBoard(bytes)) this.board.receive(arrived, this.boardMs);
  }

  /** Lets `ms` go by in steps of 5. */
  run(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += 5) {
      if (this.hostAlive) {
        this.host.tick(this.nowMs);
        for (let bytes = this.host.next(this.nowMs); bytes; bytes = this.host.next(this.nowMs))
          this.write(bytes);
      }
      this.board.poll(this.boardMs);
    }
  }

  drive(speed: number, forMs = 1000): void {
    this.host.command({ name: "drive", args: { speed }, deadlineMs: this.nowMs + forMs });
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
  bench.run(20);
  expect(bench.events).toEqual(["ready bench"]);
});

describe("a command", () => {
  test("is carried out once and acknowledged", () => {
    bench.drive(0.5);
    bench.run(20);
    expect(bench.applied).toEqual([0.5]);
    expect(bench.done).toEqual(["drive"]);
    expect(bench.speed).toBe(0.5);
    expect(bench.counters).toMatchObject({ done: 1, retries: 0, lostFrames: 0, badFrames: 0 });
    expect(bench.host.idle).toBe(true);
  });

  test("is in force until its deadline, to the millisecond that the board's loop allows", () => {
    bench.drive(0.5, 300);
    bench.run(295);
    expect(bench.speed).toBe(0.5);
    bench.run(10);
    expect(bench.speed).toBe(0);
    expect(bench.board.live).toBe(true);
  });

  test("that another of its name follows stays in force without a gap", () => {
    for (let round = 0; round < 20; round++) {
      bench.drive(0.5, 300);
      for (let ms = 0; ms < 200; ms += 5) {
        bench.run(5);
        expect(bench.speed).toBe(0.5);
      }
    }
  });

  test("that waits too long in the host is not sent", () => {
    const sent: string[] = [];
    // One command is under way and never answered, so the next one waits.
    bench.toBoard = (bytes) => {
      sent.push(Buffer.from(bytes).toString());
      return kindOf(bytes) === "c" ? [] : [bytes];
    };
    bench.host.command({ name: "light", args: {}, deadlineMs: bench.nowMs + 1000 });
    bench.drive(0.5, 100);
    bench.run(150);
    expect(sent.some((line) => line.includes("drive"))).toBe(false);
    expect(bench.faults).toEqual([expect.objectContaining({ name: "drive", reason: "expired" })]);
  });

  test("that the line held up beyond its deadline expires on the board", () => {
    const held: Uint8Array[] = [];
    bench.toBoard = (bytes) => {
      if (kindOf(bytes) !== "c") return [bytes];
      held.push(bytes);
      return [];
    };
    bench.drive(0.5, 200);
    bench.run(300);
    bench.toBoard = clean;
    for (const bytes of held) bench.write(bytes);
    bench.run(50);
    expect(bench.applied).toEqual([]);
    expect(bench.speed).toBe(0);
  });

  test("whose deadline was reckoned from a late heartbeat comes to rest early, never late", () => {
    const late: Uint8Array[] = [];
    bench.toHost = (bytes) => {
      late.push(bytes);
      return [];
    };
    bench.run(200);
    bench.toHost = clean;
    // 200 ms late: the host now takes the board's clock for slow.
    bench.host.receive(late[0]!, bench.nowMs);
    bench.drive(0.5, 400);
    const endMs = bench.nowMs + 400;
    bench.run(20);
    expect(bench.speed).toBe(0.5);
    while (bench.nowMs < endMs) bench.run(5);
    bench.run(5);
    expect(bench.speed).toBe(0);
  });

  test("gives way to a newer one of its name while it waits", () => {
    bench.drive(0.1);
    bench.drive(0.2);
    bench.drive(0.3);
    bench.run(20);
    expect(bench.applied).toEqual([0.3]);
    expect(bench.counters).toMatchObject({ done: 1, superseded: 2 });
  });

  test.each([
    ["values that the board does not allow", { name: "drive", args: { speed: 1.5 } }, "does not allow"],
    ["a name that it does not know", { name: "fly", args: {} }, "knows no such"],
    [
      "more than a line holds",
      {
        name: "drive",
        args: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`argument-${i}`, 0.1234])),
      },
      "does not fit",
    ],
    ["a value that cannot be sent", { name: "drive", args: { speed: Number.NaN } }, "NaN"],
  ])("with %s is refused", (_, command, detail) => {
    bench.host.command({ ...command, deadlineMs: bench.nowMs + 1000 });
    bench.run(20);
    expect(bench.faults).toEqual([expect.objectContaining({ name: command.name, reason: "refused" })]);
    expect(bench.faults[0]!.detail).toContain(detail);
    expect(bench.applied).toEqual([]);
  });

  test("that asks for more than ten seconds is refused by the board", () => {
    bench.drive(0.5, 10_100);
    bench.run(20);
    expect(bench.faults).toEqual([expect.objectContaining({ reason: "refused" })]);
    expect(bench.speed).toBe(0);
  });

  test("beyond sixteen names that wait is refused", () => {
    const deadlineMs = bench.nowMs + 1000;
    for (let i = 0; i < 17; i++) bench.host.command({ name: `a${i}`, args: {}, deadlineMs });
    expect(bench.faults).toEqual([{ name: "a16", reason: "refused", detail: "too many commands wait" }]);
  });
});

describe("answers", () => {
  test("that are lost have the command sent again, and it is carried out once", () => {
    let lost = 0;
    bench.toHost = (bytes) => (kindOf(bytes) === "a" && lost++ < 2 ? [] : [bytes]);
    bench.drive(0.5);
    bench.run(400);
    expect(bench.applied).toEqual([0.5]);
    expect(bench.counters).toMatchObject({ done: 1, retries: 2, unacknowledged: 0 });
  });

  test("that come twice count once", () => {
    bench.toHost = (bytes) => [bytes, bytes];
    bench.drive(0.1);
    bench.run(20);
    bench.drive(0.2);
    bench.run(20);
    expect(bench.applied).toEqual([0.1, 0.2]);
    expect(bench.counters).toMatchObject({ done: 2, retries: 0 });
    expect(bench.faults).toEqual([]);
  });

  test("that never come end the command after four sends", () => {
    bench.toHost = (bytes) => (kindOf(bytes) === "a" ? [] : [bytes]);
    bench.drive(0.5, 5000);
    bench.run(450);
    expect(bench.counters).toMatchObject({ retries: 3, unacknowledged: 1, done: 0 });
    expect(bench.faults).toEqual([expect.objectContaining({ reason: "unacknowledged" })]);
    expect(bench.applied).toEqual([0.5]);
  });
});

describe("the heartbeat", () => {
  test("keeps both ends together over minutes and the wrap of the board's clock", () => {
    for (let round = 0; round < 300; round++) {
      bench.drive(0.5, 300);
      bench.run(200);
      expect(bench.speed).toBe(0.5);
    }
    expect(bench.events).toEqual(["ready bench"]);
    expect(bench.counters).toMatchObject({ done: 300, lostFrames: 0, retries: 0 });
  });

  test("stops the board when the host is gone, no later than its time after the last answer", () => {
    bench.drive(0.5, 5000);
    bench.run(200);
    bench.hostAlive = false;
    const heardMs = bench.board.hostHeardMs!;
    while (((bench.boardMs - heardMs) | 0) < HEARTBEAT_MS - 5) bench.run(5);
    expect(bench.speed).toBe(0.5);
    bench.run(10);
    expect(bench.speed).toBe(0);
    expect(bench.board.live).toBe(false);
  });

  test("stops the board too when the host speaks but does not hear", () => {
    bench.drive(0.5, 5000);
    bench.run(100);
    bench.toHost = () => [];
    bench.run(HEARTBEAT_MS + 5);
    expect(bench.speed).toBe(0);
    expect(bench.events.at(-1)).toBe(`lost silent for ${HEARTBEAT_MS} ms`);
  });

  test("stops the board too when old answers come out of a buffer", () => {
    const answers: Uint8Array[] = [];
    bench.toBoard = (bytes) => {
      if (kindOf(bytes) === "h") answers.push(bytes);
      return [bytes];
    };
    bench.drive(0.5, 5000);
    bench.run(300);
    bench.hostAlive = false;
    for (let ms = 0; ms < HEARTBEAT_MS; ms += 10) {
      bench.write(answers[0]!);
      bench.write(answers.at(-1)!);
      bench.run(10);
    }
    expect(bench.speed).toBe(0);
  });

  test("that comes back brings the board back, but nothing that was in force", () => {
    bench.drive(0.5, 5000);
    bench.run(100);
    bench.hostAlive = false;
    bench.run(HEARTBEAT_MS);
    expect(bench.board.live).toBe(false);
    bench.hostAlive = true;
    bench.host = bench.newHost(78);
    bench.run(300);
    expect(bench.board.live).toBe(true);
    expect(bench.speed).toBe(0);
    bench.drive(0.2);
    bench.run(20);
    expect(bench.speed).toBe(0.2);
  });

  test("of a board that reboots is missed, and the board does nothing before it is opened again", () => {
    const fresh = new BoardLink({ name: "fresh", actuators: [], write: () => {} });
    fresh.receive(encodeFrame(frameOfHost({ kind: "heartbeat", seq: 1, boardMs: 0 })), 0);
    fresh.poll(1000);
    expect(fresh.live).toBe(false);
    bench.toHost = () => [];
    bench.toBoard = (bytes) => {
      fresh.receive(bytes, bench.nowMs);
      return [];
    };
    bench.drive(0.5);
    bench.run(HEARTBEAT_MS + 100);
    expect(bench.events.at(-1)).toMatch(/^lost silent/);
    expect(bench.faults).toEqual([expect.objectContaining({ name: "drive", reason: "unacknowledged" })]);
  });
});

describe("a stop", () => {
  test("goes before what waits, which expires", () => {
    bench.drive(0.5);
    bench.run(20);
    bench.drive(0.9);
    bench.host.stop();
    bench.run(20);
    expect(bench.speed).toBe(0);
    expect(bench.applied).toEqual([0.5]);
    expect(bench.faults).toEqual([{ name: "drive", reason: "expired", detail: "a stop came first" }]);
    expect(bench.host.idle).toBe(true);
  });
});

describe("an opening", () => {
  test("of a board that boots late is answered when it can", () => {
    const slow = new Bench();
    slow.toBoard = () => [];
    slow.run(2000);
    slow.toBoard = clean;
    slow.run(300);
    expect(slow.events).toEqual(["ready bench"]);
  });

  test("without an answer for five seconds is given up", () => {
    const dead = new Bench();
    dead.toBoard = () => [];
    dead.run(5100);
    expect(dead.events).toEqual(["lost it does not answer"]);
  });

  test("that comes again with the same number undoes nothing", () => {
    bench.drive(0.5);
    bench.run(20);
    bench.write(encodeFrame(frameOfHost({ kind: "open", seq: 9, nonce: 77, timeoutMs: HEARTBEAT_MS })));
    expect(bench.speed).toBe(0.5);
    bench.write(encodeFrame(frameOfHost({ kind: "open", seq: 9, nonce: 78, timeoutMs: HEARTBEAT_MS })));
    expect(bench.speed).toBe(0);
  });

  test("takes no board of another version", () => {
    const old = new Bench();
    old.toHost = (bytes) => {
      const text = Buffer.from(bytes)
        .toString()
        .replace(/\*.*\n/, "")
        .slice(1);
      if (!text.startsWith("r")) return [bytes];
      const [, seq, nonce, boardMs, timeoutMs] = text.split(" ");
      return [
        encodeFrame({ kind: "r", seq: Number(seq), payload: `${nonce} ${boardMs} ${timeoutMs} 2 bench` }),
      ];
    };
    old.run(20);
    expect(old.events).toEqual(["lost it speaks version 2 of the protocol, expected 1"]);
  });
});

describe("a bad wire", () => {
  test("loses lines and counts them", () => {
    bench.toHost = (bytes) => (kindOf(bytes) === "l" && Buffer.from(bytes).includes("b") ? [] : [bytes]);
    for (const text of ["a", "b", "c"]) bench.board.line(text);
    expect(bench.events.slice(1)).toEqual(["line a", "line c"]);
    expect(bench.counters.lostFrames).toBe(1);
  });

  test("of noise, cuts, losses and copies carries nothing wrong and nothing twice", () => {
    const random = seededRandom(11);
    const hurt: Wire = (bytes) => {
      const copy = Uint8Array.from(bytes);
      const chance = random();
      if (chance < 0.05) return [];
      if (chance < 0.1) return [copy.subarray(0, Math.floor(random() * copy.length))];
      if (chance < 0.15) return [copy, copy];
      if (chance < 0.25) copy[Math.floor(random() * copy.length)]! ^= 1 << Math.floor(random() * 8);
      if (chance < 0.35) return [randomBytes(random, Math.floor(random() * 40)), copy];
      return [copy];
    };
    bench.toBoard = hurt;
    bench.toHost = hurt;
    const asked: number[] = [];
    for (let round = 0; round < 500; round++) {
      const speed = Math.round(random() * 1e4) / 1e4;
      asked.push(speed);
      bench.drive(speed, 400);
      bench.run(200);
    }
    expect(bench.events.filter((event) => !event.startsWith("ready"))).toEqual([]);
    // A sequence with gaps, but in order, without repeats and with nothing made up.
    let at = -1;
    for (const speed of bench.applied) {
      at = asked.indexOf(speed, at + 1);
      expect(at).toBeGreaterThanOrEqual(0);
    }
    const { done, expired, refused, unacknowledged, superseded } = bench.counters;
    expect(done).toBeGreaterThan(400);
    // Each command has one end; the last may still be under way.
    const ended = done + expired + refused + unacknowledged + superseded;
    expect([499, 500]).toContain(ended);
    expect(bench.counters.badFrames).toBeGreaterThan(100);
  });
});
