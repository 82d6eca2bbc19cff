/** What a screen shows. It is sent whole each time, as JSON: whoever has the newest needs nothing that came before. */
export interface ScreenView {
  /** Session time, ms. */
  tMs: number;
  /** T, the budget of a step, ms. */
  microTurnMs: number;
  /** Model, backend and why. */
  title: string;
  activity: Activity;
  /** Savings that the session makes because steps were late; empty in a healthy session. */
  savings: readonly string[];
  /** The link to the background reasoner is down. */
  offline: boolean;
  /** What is recorded can be told from everything else: a person must see whether they are. */
  recording: boolean;
  /** The last number that sounded, as it was spoken; null before the first. */
  number: string | null;
  /** Oldest first. */
  captions: readonly Caption[];
  /** In order of their last change. */
  tasks: readonly Task[];
  devices: readonly DeviceState[];
  /** The last 30 s, one a micro-turn, oldest first. */
  columns: readonly Column[];
  /** What happened in that time. */
  marks: readonly Mark[];
  /** Late steps since the session began. */
  late: number;
}

/**
 * What the session does at the moment: `speaking`: its words sound; `listening`: it is silent and takes in sound;
 * `silent`: it neither speaks nor hears, as without a microphone.
 */
export type Activity = "starting" | "listening" | "speaking" | "silent" | "ended";

/** One line of what went to and fro. Times are session time, ms. */
export interface Caption {
  /** Ascending; tells the captions of a session apart. */
  id: number;
  by: "heard" | "said" | "shown";
  tMs: number;
  /** When its last sample sounded; null while it sounds. What was not spoken has no length. */
  endMs: number | null;
  /** For `said`, the words that sounded or are sounding. */
  text: string;
  /** Words that a flush kept from sounding. */
  unheard: string;
}

/** One task in the hands of the background reasoner. */
export interface Task {
  task: string;
  state: string;
  about: string;
  /** The newest that the reasoner said. */
  text: string;
  stale: boolean;
}

export interface DeviceState {
  device: string;
  state: "ready" | "lost" | "ended";
  detail: string;
}

/** One micro-turn. */
export interface Column {
  microTurn: number;
  /** Level of the sound, dB below full scale; null without a microphone. */
  levelDb: number | null;
  /** The step that took it in, ms. */
  stepMs: number;
  late: boolean;
}

/** Something that happened at one moment. */
export interface Mark {
  lane: string;
  tMs: number;
  text: string;
}

/** How much of the session the timeline shows, ms. */
export const TIMELINE_MS = 30_000;
