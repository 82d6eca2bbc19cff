/** One device of this machine, as `microturn devices` shows it. */
export interface ListedDevice {
  /** What a profile calls it, by a name that outlives replugging where there is one. */
  path: string;
  /** What it is, for people. */
  name: string;
  state: "ok" | "no permission" | "busy";
  /** What is wrong, in one clause; absent if nothing is. */
  problem?: string;
  /** The command that mends it. */
  remedy?: string;
}

/** Finds the devices of one kind. */
export interface DeviceLister {
  /** "camera", "microphone", "speaker", "serial". */
  kind: string;
  list(): Promise<ListedDevice[]>;
}
