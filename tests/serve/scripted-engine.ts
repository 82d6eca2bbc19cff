import type { DuplexEngine, DuplexSession, Reply, SessionOptions } from "../../src/serve/session.ts";

/** A model that keeps what it is given, and says what a test has it say. */
export class ScriptedEngine implements DuplexEngine {
  readonly name = "scripted";
  /** Options of the sessions that were opened. */
  readonly opened: SessionOptions[] = [];
  /** Frames of all sessions. */
  readonly heard: Float32Array[] = [];
  resets = 0;
  closed = 0;
  /** What the step of frame k gives; k counts over all sessions. */
  reply: (frame: number, pcm: Float32Array) => Reply | Promise<Reply>;
  /** Settles before a session opens. */
  opening: (options: SessionOptions, signal: AbortSignal) => Promise<void> = () => Promise.resolve();

  constructor(reply: ScriptedEngine["reply"] = () => ({ pcm: null, text: "." })) {
    this.reply = reply;
  }

  async open(options: SessionOptions, signal: AbortSignal): Promise<DuplexSession> {
    this.opened.push(options);
    await this.opening(options, signal);
    return {
      inEffect: options,
      step: async (pcm) => {
        this.heard.push(pcm.slice());
        return this.reply(this.heard.length - 1, pcm);
      },
      reset: async () => {
        this.resets++;
      },
      close: async () => {
        this.closed++;
      },
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A promise that is settled from outside. */
export function gate(): { passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}
