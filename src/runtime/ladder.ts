import type { Saving } from "../core/model.ts";

/** The degradation ladder, mildest rung first. What is heard is not on it: sound is never given up. */
export const LADDER: readonly { saving: Saving; means: string }[] = [
  { saving: "fewer-video-tiles", means: "the model looks at fewer tiles of each picture" },
  { saving: "lower-video-rate", means: "pictures come in every second micro-turn only" },
  { saving: "shorter-output", means: "the model says less per micro-turn" },
  { saving: "smaller-model", means: "a smaller model takes over" },
];

/** So many late steps among the last WINDOW take the session one rung down. */
const LATE_TO_DESCEND = 2;
const WINDOW = 10;
/** A run of steps on time for so long takes it one rung up, ms. */
const CLIMB_MS = 10_000;
/** A climb that does not hold doubles the run wanted for the next, up to so many times that: about 5 min. */
const CLIMB_LIMIT = 32;

/** One move on the ladder. `savings`: all that are made from now on. */
export interface LadderMove {
  direction: "down" | "up";
  saving: Saving;
  savings: readonly Saving[];
}

/** Decides from late and on-time steps how much a session saves. Holds no clock: it counts steps. */
export class Ladder {
  readonly #rungs: readonly Saving[];
  #level = 0;
  #sinceMove = 0;
  #onTimeRun = 0;
  readonly #onTimeToClimb: number;
  #onTimeWanted: number;
  /** Ages, in steps, of the late ones not older than WINDOW. */
  #lateAges: number[] = [];
  #lastDirection: LadderMove["direction"] = "down";

  /**
   * @param offered     the savings that can be made in this session; the ladder's order is its own.
   * @param microTurnMs T, ms.
   */
  constructor(offered: readonly Saving[], microTurnMs: number) {
    this.#onTimeToClimb = Math.ceil(CLIMB_MS / microTurnMs);
    this.#onTimeWanted = this.#onTimeToClimb;
    this.#rungs = LADDER.map((rung) => rung.saving).filter((saving) => offered.includes(saving));
  }

  get savings(): readonly Saving[] {
    return this.#rungs.slice(0, this.#level);
  }

  /** Takes note of one step; returns the move to make before the next, if any. */
  step(late: boolean): LadderMove | null {
    this.#sinceMove++;
    this.#onTimeRun = late ? 0 : this.#onTimeRun + 1;
    this.#lateAges = this.#lateAges.map((age) => age + 1).filter((age) => age < WINDOW);
    if (late) this.#lateAges.push(0);
    if (this.#lateAges.length >= LATE_TO_DESCEND && this.#level < this.#rungs.length) return this.#descend();
    if (this.#onTimeRun >= this.#onTimeWanted && this.#level > 0) return this.#climb();
    return null;
  }

  #descend(): LadderMove {
    const climbFailed = this.#lastDirection === "up" && this.#sinceMove < this.#onTimeWanted;
    const limit = CLIMB_LIMIT * this.#onTimeToClimb;
    this.#onTimeWanted = climbFailed ? Math.min(2 * this.#onTimeWanted, limit) : this.#onTimeToClimb;
    const saving = this.#rungs[this.#level++]!;
    return this.#moved("down", saving);
  }

  #climb(): LadderMove {
    const saving = this.#rungs[--this.#level]!;
    return this.#moved("up", saving);
  }

  #moved(direction: LadderMove["direction"], saving: Saving): LadderMove {
    this.#lateAges = [];
    this.#onTimeRun = 0;
    this.#sinceMove = 0;
    this.#lastDirection = direction;
    return { direction, saving, savings: this.savings };
  }
}
