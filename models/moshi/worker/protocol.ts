import type { Conversation } from "../conversation.ts";
import type { FrameReply, HeardFrame } from "../dialogue.ts";
import type { EngineOptions } from "./engine.ts";

/** What the worker is started with, as its `workerData`. */
export type WorkerStart = EngineOptions;

/** What is known of a checkpoint and its adapter once it runs. */
export interface Ready {
  adapter: string;
  /** True for a rasteriser that runs on the processor. */
  isSoftware: boolean;
  /** See DialogueModelOptions. */
  lagMs: number;
}

/** What comes of a step: see DialogueEngine. A lost device may have been replaced by another. */
export interface StepAnswer {
  replies: readonly FrameReply[];
  isNew: boolean;
  adapter: string;
}

export type MoshiCalls = {
  step: { given: readonly HeardFrame[]; answer: StepAnswer };
  reset: { given: null; answer: unknown };
  begin: { given: Conversation; answer: unknown };
};
