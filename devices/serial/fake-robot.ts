import { type Actuator, BoardLink } from "./board-link.ts";
import { boardMsBetween, type CommandArgs } from "./messages.ts";

/** Where the wall stands, and how fast the robot drives at speed 1. */
const WALL_M = 3;
const METRES_PER_SECOND = 0.5;
/** It says so often how far the wall is, ms. */
const RANGE_EVERY_MS = 1000;

/** What moves in a fake robot now: speed and turn from -1 to 1, light from 0 to 1. */
export interface Motion {
  speed: number;
  turn: number;
  light: number;
}

export interface FakeRobotOptions {
  /** Owns the bytes. */
  write(bytes: Uint8Array): void;
  /** Told whenever something begins to move otherwise. */
  onMotion?: (motion: Motion) => void;
}

/**
 * A robot on a board that needs no hardware: `drive speed turn` and `light level`, and a sensor that says how far the
 * wall ahead is ("range 2.5") and when the robot runs into it ("bump"). The firmware sketch does the same.
 */
export class FakeRobot {
  readonly link: BoardLink;
  readonly motion: Motion = { speed: 0, turn: 0, light: 0 };
  readonly #onMotion: (motion: Motion) => void;
  #rangeM = WALL_M;
  #movedMs: number | null = null;
  #saidMs = 0;

  constructor({ write, onMotion = () => {} }: FakeRobotOptions) {
    this.#onMotion = onMotion;
    const drive: Actuator = {
      name: "drive",
      apply: ({ speed = 0, turn = 0, ...rest }) => within(rest, speed, turn) && this.#set({ speed, turn }),
      rest: () => this.#set({ speed: 0, turn: 0 }),
    };
    const light: Actuator = {
      name: "light",
      apply: ({ level = 0, ...rest }) => level >= 0 && within(rest, level) && this.#set({ light: level }),
      rest: () => this.#set({ light: 0 }),
    };
    this.link = new BoardLink({ name: "fake-robot", actuators: [drive, light], write });
  }

  /** @param nowMs the board's clock: milliseconds modulo 2^32. */
  receive(bytes: Uint8Array, nowMs: number): void {
    this.link.receive(bytes, nowMs);
  }

  /** Lets time go by. */
  poll(nowMs: number): void {
    const leftMs = this.#movedMs === null ? 0 : boardMsBetween(nowMs, this.#movedMs);
    this.#movedMs = nowMs;
    this.#move(leftMs / 1000);
    this.link.poll(nowMs);
    if (boardMsBetween(nowMs, this.#saidMs) < RANGE_EVERY_MS) return;
    this.#saidMs = nowMs;
    this.link.line(`range ${this.#rangeM.toFixed(1)}`);
  }

  #move(seconds: number): void {
    const before = this.#rangeM;
    this.#rangeM = Math.max(0, before - this.motion.speed * METRES_PER_SECOND * seconds);
    if (this.#rangeM === 0 && before > 0) this.link.line("bump");
  }

  #set(changed: Partial<Motion>): true {
    const before = { ...this.motion };
    Object.assign(this.motion, changed);
    const { speed, turn, light } = this.motion;
    if (speed !== before.speed || turn !== before.turn || light !== before.light)
      this.#onMotion({ ...this.motion });
    return true;
  }
}

/** True if nothing but the known arguments was given and each is from -1 to 1. */
function within(others: CommandArgs, ...values: number[]): boolean {
  return Object.keys(others).length === 0 && values.every((value) => Math.abs(value) <= 1);
}
