import { type Clock, unlessAborted } from "../core/clock.ts";
import type { Captured, Source } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import type { InputEvent, MicroTurnInput } from "../core/micro-turn.ts";
import type { Perception } from "../core/model.ts";
import { AudioTrack } from "./audio-track.ts";
import { EventTrack } from "./event-track.ts";
import { Feed } from "./feed.ts";
import { VideoTrack } from "./video-track.ts";

/**
 * How long a closing interval waits for the last sound of a live microphone, as a share of T. Sound that comes later is
 * lost to the model, so this is more than a busy machine usually holds a chunk up (50 ms of 200), and still leaves a step
 * three quarters of T.
 */
const LIVE_GRACE = 0.25;
/** Sound that one step may take in after a stall, ms; what is older is passed over and counted. */
const BACKLOG_MS = 30_000;

export interface TimelineOptions {
  clock: Clock;
  /** What the model wants to be fed: sources that it cannot perceive are not opened. */
  perception: Perception;
  /** At most one of kind audio and one of kind video. */
  sources: readonly Source[];
  /** No interval begins at or after this session time, ms. */
  durationMs?: number;
}

/**
 * Aligns what the sources capture into micro-turns: it alone decides what a micro-turn hears and sees. Recordings are
 * waited for, whatever the clock, so a session over them takes in the same at any speed.
 */
export class Timeline {
  readonly audio: AudioTrack | null;
  readonly video: VideoTrack | null;
  readonly events = new EventTrack();
  /** Intervals that the backlog could not hold. Their events were kept. */
  droppedIntervals = 0;
  /** Frames are handed over in every n-th micro-turn only: 1 unless the ladder asks for less video. */
  videoEvery = 1;

  readonly #clock: Clock;
  readonly #perception: Perception;
  readonly #limit: number;
  readonly #feeds: readonly Feed[];
  readonly #closing = new AbortController();
  #next = 0;
  #exhaustedAtMs: number | null = null;

  constructor(options: TimelineOptions) {
    const { microTurnMs, audioSampleRateHz, videoFramesPerMicroTurn } = options.perception;
    const perceived = options.sources.filter(
      (source) =>
        source.kind === "events" ||
        (source.kind === "audio" ? audioSampleRateHz !== null : videoFramesPerMicroTurn !== null),
    );
    for (const kind of ["audio", "video"] as const) refuseSecond(perceived, kind);
    this.#clock = options.clock;
    this.#perception = options.perception;
    this.#limit = Math.ceil((options.durationMs ?? Number.POSITIVE_INFINITY) / microTurnMs);
    const has = (kind: Source["kind"]) => perceived.some((source) => source.kind === kind);
    const live = perceived.some((source) => source.kind === "audio" && !source.recorded);
    this.audio =
      audioSampleRateHz !== null && has("audio") ? new AudioTrack(audioSampleRateHz, { live }) : null;
    const parts = videoFramesPerMicroTurn ?? 1;
    this.video = has("video") ? new VideoTrack(microTurnMs / parts, parts) : null;
    this.#feeds = perceived.map((source) => new Feed(source, (item, feed) => this.#accept(item, feed)));
  }

  /**
   * Opens the sources and waits until each live device is going, and each recording has given its first item, ended or
   * failed.
   * @throws RuntimeError "device-unavailable" or "missing-program" for a live device that cannot be had.
   */
  async open(signal: AbortSignal): Promise<void> {
    const preparing = this.#feeds.map((feed) => feed.source.prepare?.(this.#closing.signal));
    await unlessAborted(Promise.all(preparing), signal);
    for (const feed of this.#feeds) {
      feed.start(this.#clock, this.#closing.signal, (ended) => this.#noteEnd(ended));
    }
    this.#readAhead();
    await this.#recordedReach(0, signal);
  }

  /** Adds an event that arises in the session itself. */
  push(event: InputEvent): void {
    this.events.write(event);
  }

  /**
   * Yields each interval when it has closed; intervals that closed while the last step was still running come
   * together, oldest first. Ends at the duration or on the signal.
   * @throws RuntimeError when a recording failed, once all that it gave before has been handed over.
   */
  async *microTurns(signal: AbortSignal): AsyncGenerator<readonly MicroTurnInput[], void> {
    const { microTurnMs } = this.#perception;
    while (this.#next < this.#limit) {
      try {
        await this.#clock.sleepUntil(this.nextCloseMs, signal);
        const closed = Math.floor(this.#clock.nowMs() / microTurnMs);
        const end = Math.min(Math.max(closed, this.#next + 1), this.#limit);
        await this.#known(end * microTurnMs, signal);
        this.#passOver(end - Math.floor(BACKLOG_MS / microTurnMs));
        const inputs: MicroTurnInput[] = [];
        while (this.#next < end) inputs.push(this.#close(this.#next++));
        this.#readAhead();
        yield inputs;
      } catch (fault) {
        if (signal.aborted) return;
        throw fault;
      }
    }
  }

  /** Session time at which the next interval closes, ms: a step that is not done by then is late. */
  get nextCloseMs(): number {
    return (this.#next + 1) * this.#perception.microTurnMs;
  }

  /**
   * Session time by which all recordings had been handed over to their end, with nothing live left to see or hear, ms;
   * null as long as something may come. A keyboard alone does not keep a session going.
   */
  get exhaustedAtMs(): number | null {
    if (this.#exhaustedAtMs === null && this.#isExhausted()) {
      this.#exhaustedAtMs = this.#next * this.#perception.microTurnMs;
    }
    return this.#exhaustedAtMs;
  }

  #isExhausted(): boolean {
    const perceiving = this.#feeds.filter((feed) => feed.source.kind !== "events");
    // Typed texts alone are no reason to end before the time that was asked for.
    if (perceiving.length === 0 && Number.isFinite(this.#limit)) return false;
    const deciding = [...perceiving, ...this.#feeds.filter((feed) => feed.source.recorded)];
    return deciding.length > 0 && deciding.every((feed) => feed.ended && this.#handedOver(feed));
  }

  /** Lets go of the sources. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#feeds.map((feed) => feed.stopped()));
  }

  /** Puts an item on its track; returns the session time before which its source has nothing more to give. */
  #accept(item: Captured, feed: Feed): number {
    switch (item.kind) {
      case "audio":
        this.audio?.write(item);
        return this.audio?.writtenToMs ?? item.captureMs;
      case "frame":
        this.video?.write(item);
        return item.captureMs;
      case "event":
        this.events.write(item.event);
        if (item.event.kind === "device") feed.lost = item.event.state === "lost";
        return item.captureMs;
    }
  }

  /** Waits until all that was captured before `endMs` is here; for live sources no longer than the grace. */
  async #known(endMs: number, signal: AbortSignal): Promise<void> {
    await this.#clock.during(this.#recordedReach(endMs, signal));
    const microphone = this.#feeds.find((feed) => feed.source.kind === "audio" && !feed.source.recorded);
    if (!microphone || microphone.reachedMs >= endMs || microphone.ended || microphone.lost) return;
    // One controller for both waits, tied to the signal by hand: AbortSignal.any() leaks with a long-lived signal
    // (https://github.com/nodejs/node/issues/54614).
    const settled = new AbortController();
    const onAbort = () => settled.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const grace = this.#clock.sleepUntil(endMs + LIVE_GRACE * this.#perception.microTurnMs, settled.signal);
    const arrival = microphone.reaches(endMs, settled.signal);
    // A microphone that fails while it is waited for is reported as a lost device, and the one that came second of the
    // two rejects with the abort made here.
    await Promise.race([grace.catch(() => {}), arrival.catch(() => {})]);
    settled.abort();
    signal.removeEventListener("abort", onAbort);
    signal.throwIfAborted();
  }

  async #recordedReach(timeMs: number, signal: AbortSignal): Promise<void> {
    const recorded = this.#feeds.filter((feed) => feed.source.recorded);
    for (const feed of recorded) feed.readTo(timeMs);
    await Promise.all(recorded.map((feed) => feed.reaches(timeMs, signal)));
  }

  #close(index: number): MicroTurnInput {
    const { microTurnMs, audioSampleRateHz, videoFramesPerMicroTurn } = this.#perception;
    const startMs = index * microTurnMs;
    const sampleAt = (timeMs: number) => Math.round((timeMs / 1000) * (audioSampleRateHz ?? 0));
    const frames = this.video?.take(videoFramesPerMicroTurn ?? 1) ?? [];
    return {
      index,
      startMs,
      durationMs: microTurnMs,
      audio: this.audio?.take(sampleAt(startMs + microTurnMs) - sampleAt(startMs)) ?? null,
      frames: index % this.videoEvery === 0 ? frames : [],
      events: this.events.take(startMs + microTurnMs),
    };
  }

  /** Drops the intervals before `first`, as after a stall of more than the backlog holds. Their events stay. */
  #passOver(first: number): void {
    for (; this.#next < first; this.#next++) {
      const kept = this.#close(this.#next).events;
      for (const event of kept) this.events.write(event);
      this.droppedIntervals++;
    }
  }

  /** Recordings are read one interval beyond the one that closes next, while the step runs. */
  #readAhead(): void {
    for (const feed of this.#feeds) feed.readTo(this.nextCloseMs + this.#perception.microTurnMs);
  }

  #noteEnd(feed: Feed): void {
    if (feed.source.kind === "audio") this.audio?.end();
    if (feed.source.kind === "events" || this.#closing.signal.aborted) return;
    if (feed.source.kind === "audio") feed.reachedMs = this.audio?.writtenToMs ?? feed.reachedMs;
    // The end has its place in the recording, so that it comes in the same micro-turn at any speed.
    const timeMs = feed.source.recorded ? Math.max(0, feed.reachedMs) : this.#clock.nowMs();
    const state = feed.failure === null ? "ended" : "lost";
    const detail = feed.failure instanceof Error ? feed.failure.message : "";
    this.events.write({ kind: "device", timeMs, device: feed.source.name, state, detail });
  }

  #handedOver(feed: Feed): boolean {
    const nextStartMs = this.#next * this.#perception.microTurnMs;
    return feed.source.kind === "audio" ? feed.reachedMs <= nextStartMs : feed.reachedMs < nextStartMs;
  }
}

function refuseSecond(sources: readonly Source[], kind: "audio" | "video"): void {
  const [first, second] = sources.filter((source) => source.kind === kind);
  if (first && second) {
    throw new RuntimeError("invalid-argument", {
      part: "timeline",
      problem: `two ${kind} sources, ${first.name} and ${second.name}; a session takes one`,
    });
  }
}
