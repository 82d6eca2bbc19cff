import type { InputBlock } from "../backend.ts";
import type { NativeConfig } from "../config.ts";

/** One micro-turn of the past: what came in, and the output tokens that were fed back. */
export interface PastTurn {
  block: InputBlock;
  said: readonly number[];
}

/**
 * What is needed to fill an empty memory again: the last `perceptionTurns` micro-turns whole, and of older ones the text
 * as long as its ring remembers it. Bounded, whatever the session's length.
 */
export class History {
  readonly #perceptionTurns: number;
  readonly #toldTokens: number;
  readonly #saidTokens: number;
  #turns: PastTurn[] = [];

  constructor({ memory }: NativeConfig) {
    this.#perceptionTurns = memory.perceptionTurns;
    this.#toldTokens = memory.toldTokens;
    this.#saidTokens = memory.saidTokens;
  }

  /** Oldest first. */
  get turns(): readonly PastTurn[] {
    return this.#turns;
  }

  /** Remembers a micro-turn. The block is copied. */
  add(block: InputBlock, said: readonly number[]): void {
    const { turn, pcm, video, told } = block;
    const copy = { turn, pcm: pcm?.slice() ?? null, video: video?.slice() ?? null, told: [...told] };
    this.#turns.push({ block: copy, said });
    this.#forget(turn);
  }

  clear(): void {
    this.#turns = [];
  }

  #forget(now: number): void {
    let told = 0;
    let said = 0;
    const kept: PastTurn[] = [];
    for (let i = this.#turns.length - 1; i >= 0; i--) {
      const past = this.#turns[i]!;
      const { block } = past;
      const recent = now - block.turn < this.#perceptionTurns;
      const remembered =
        (block.told.length > 0 && told < this.#toldTokens) ||
        (past.said.length > 0 && said < this.#saidTokens);
      told += block.told.length;
      said += past.said.length;
      if (recent) kept.push(past);
      else if (remembered) kept.push({ block: { ...block, pcm: null, video: null }, said: past.said });
    }
    this.#turns = kept.reverse();
  }
}
