import type { Clock } from "../core/clock.ts";
import type { ActionSink, Source, Speaker, StreamingVoice, Voice } from "../core/device.ts";
import { type Log, stderrLog } from "../core/log.ts";
import type { MicroTurnInput, MicroTurnOutput } from "../core/micro-turn.ts";
import type { InteractionModel } from "../core/model.ts";
import { Timeline } from "../timeline/timeline.ts";
import { Account } from "./account.ts";
import type { SessionObserver, SessionStanding, SessionSummary } from "./events.ts";
import { Ladder } from "./ladder.ts";
import { Outputs } from "./outputs.ts";
import { NO_BOUNDS, type Policy } from "./policy.ts";
import { StepTimes } from "./step-times.ts";
import { Transcript } from "./transcript.ts";

/** A model that puts out sound of its own may never fall silent, ms. */
const SETTLE_LIMIT_MS = 30_000;

export interface SessionOptions {
  /** Not started: the session starts it when its sources are ready. */
  clock: Clock;
  /** Reset by the session; closed by the caller. */
  model: InteractionModel;
  /** At most one of kind audio and one of kind video; any number of kind events. */
  sources: readonly Source[];
  /** Closed by the caller. */
  voice: Voice | StreamingVoice;
  /** Closed by the session: finished when it ends well or is aborted, discarded when it fails. */
  speaker: Speaker;
  observers?: readonly SessionObserver[];
  /** Where actions go: the first that takes one gets it. One that is a device is among the sources as well. */
  actionSinks?: readonly ActionSink[];
  /** What actions may do. Default: every action goes through. */
  policy?: Policy;
  /** The session ends here at the latest, ms; words that are under way then still sound. */
  durationMs?: number;
  /** When its recorded sources have ended the session goes on until nothing was said for this long, ms. Default 1000. */
  settleMs?: number;
  /** A model that never falls silent is heard so much longer at the most, ms. Default 30 000. */
  settleLimitMs?: number;
  log?: Log;
}

/**
 * One session from first micro-turn to last: perceives, steps the model, plays what it says.
 * It ends when its recorded sources have ended and the last words have sounded, at `durationMs`, or on the signal.
 */
export class Session {
  /** What was said and heard so far. */
  readonly transcript = new Transcript();
  readonly #options: SessionOptions;
  readonly #clock: Clock;
  readonly #model: InteractionModel;
  readonly #timeline: Timeline;
  readonly #account: Account;
  readonly #outputs: Outputs;
  readonly #ladder: Ladder;
  readonly #stepTimes = new StepTimes();
  #microTurns = 0;
  #late = 0;

  constructor(options: SessionOptions) {
    const { clock, model, voice, speaker, observers = [], log = stderrLog } = options;
    this.#options = options;
    this.#clock = clock;
    this.#model = model;
    this.#account = new Account(model.perception.microTurnMs, observers, log);
    this.#timeline = new Timeline({ ...options, perception: model.perception });
    this.#outputs = new Outputs({
      clock,
      voice,
      speaker,
      account: this.#account,
      transcript: this.transcript,
      policy: options.policy ?? NO_BOUNDS,
      actionSinks: options.actionSinks ?? [],
    });
    this.#outputs.heard = (event) => this.#timeline.push(event);
    const cameraSaving = this.#timeline.video ? (["lower-video-rate"] as const) : [];
    this.#ladder = new Ladder([...(model.savings ?? []), ...cameraSaving], model.perception.microTurnMs);
  }

  /** How it stands now; can be asked for at any time. */
  get standing(): SessionStanding {
    const { audio, video, events, droppedIntervals } = this.#timeline;
    return {
      gaps: audio ? { ...audio.gaps } : { count: 0, totalMs: 0 },
      dropped: {
        frames: video?.dropped ?? 0,
        events: events.dropped,
        phrases: this.#outputs.droppedPhrases,
        sound: this.#outputs.droppedSound,
        intervals: droppedIntervals,
      },
      waiting: { events: events.waiting, phrases: this.#outputs.waitingPhrases },
      microphoneDrift: audio?.drift ?? 0,
      underruns: this.#outputs.underruns,
    };
  }

  /**
   * Runs the session. Can be called once.
   * @param signal ends the session in good order, as when its sources end: the summary is still returned.
   * @throws RuntimeError of the part that failed: a recorded source, the model, the speaker.
   */
  async run(signal: AbortSignal = new AbortController().signal): Promise<SessionSummary> {
    const { speaker } = this.#options;
    try {
      await this.#model.reset();
      this.#model.save?.([]);
      await this.#loop(signal);
      if (signal.aborted) this.#outputs.flush();
      await this.#outputs.drained();
      await speaker.close();
    } catch (fault) {
      this.#outputs.flush();
      await speaker.discard();
      throw fault;
    } finally {
      await this.#timeline.close();
    }
    const summary = this.#summary();
    this.#account.write(this.#clock.nowMs(), { kind: "end", ...summary });
    return summary;
  }

  async #loop(signal: AbortSignal): Promise<void> {
    if (!(await this.#opened(signal))) return;
    this.#clock.start();
    for await (const inputs of this.#timeline.microTurns(signal)) {
      const output = await this.#step(inputs);
      this.#outputs.play(output);
      if (this.#settled()) return;
    }
  }

  async #opened(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#timeline.open(signal);
      return true;
    } catch (fault) {
      if (signal.aborted) return false;
      throw fault;
    }
  }

  /** One step of the model, timed, and what its time means for the ladder. */
  async #step(inputs: readonly MicroTurnInput[]): Promise<MicroTurnOutput> {
    for (const input of inputs) this.#account.noteInputs(input.events);
    const beganMs = performance.now();
    const output = await this.#clock.during(this.#model.step(inputs));
    const stepMs = performance.now() - beganMs;
    const late = this.#clock.nowMs() >= this.#timeline.nextCloseMs;
    this.#stepTimes.add(stepMs);
    this.#microTurns += inputs.length;
    if (late) {
      this.#late++;
      this.#account.write(this.#clock.nowMs(), { kind: "late", stepMs });
    }
    this.#account.noteStep({ inputs, output, savings: this.#ladder.savings, stepMs, late });
    this.#degrade(late);
    return output;
  }

  #degrade(late: boolean): void {
    const move = this.#ladder.step(late);
    if (!move) return;
    this.#timeline.videoEvery = move.savings.includes("lower-video-rate") ? 2 : 1;
    this.#model.save?.(move.savings);
    this.#account.write(this.#clock.nowMs(), { kind: "degraded", ...move });
  }

  /** True when nothing more can come: the recordings are over and nothing has been said for a while. */
  #settled(): boolean {
    const exhaustedAtMs = this.#timeline.exhaustedAtMs;
    if (exhaustedAtMs === null) return false;
    const { settleMs = 1000, settleLimitMs = SETTLE_LIMIT_MS } = this.#options;
    const wantedMs = settleMs + (this.#model.lagMs ?? 0);
    if (this.#clock.nowMs() - exhaustedAtMs >= Math.max(wantedMs, settleLimitMs)) return true;
    if (!this.#outputs.idle) return false;
    const quietSinceMs = Math.max(exhaustedAtMs, this.#outputs.lastSaidMs);
    return this.#clock.nowMs() - quietSinceMs >= wantedMs;
  }

  #summary(): SessionSummary {
    const { gaps, dropped } = this.standing;
    return {
      ...this.#model.description,
      microTurns: this.#microTurns,
      late: this.#late,
      stepMs: this.#stepTimes.summary(),
      gaps,
      dropped,
    };
  }
}
