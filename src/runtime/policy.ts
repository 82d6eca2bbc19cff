import type { Action } from "../core/device.ts";

/** What a value of a command may be, bounds included. */
export interface Bounds {
  min: number;
  max: number;
  /** What to do with a value outside: refuse the whole command, or put the nearer bound in its place. */
  outside: "veto" | "clip";
}

/** The arguments of a command, each of which must be a number. */
export type ActuatorPolicy = Readonly<Record<string, Bounds>>;

/** Bounds of actuators, by action and argument. An action that is not named moves nothing and is not judged. */
export interface Policy {
  actuators: Readonly<Record<string, ActuatorPolicy>>;
}

/** For a session that moves nothing. */
export const NO_BOUNDS: Policy = { actuators: {} };

/** What a policy says of an action. */
export type Verdict = { allowed: true; action: Action } | { allowed: false; reason: string };

/**
 * Judges an action: an actuator's arguments must all be finite numbers that the policy names and bounds; those that
 * are absent are left to the board.
 */
export function judge(policy: Policy, action: Action): Verdict {
  const actuator = Object.hasOwn(policy.actuators, action.name) ? policy.actuators[action.name] : undefined;
  if (actuator === undefined) return { allowed: true, action };
  const args: Record<string, number> = {};
  for (const [name, value] of Object.entries(action.args)) {
    const bounds = Object.hasOwn(actuator, name) ? actuator[name] : undefined;
    if (bounds === undefined) return { allowed: false, reason: `${name} is not in the policy` };
    if (typeof value !== "number" || !Number.isFinite(value)) {
      return { allowed: false, reason: `${name} is not a number` };
    }
    const { min, max, outside } = bounds;
    const within = Math.min(Math.max(value, min), max);
    if (within !== value && outside === "veto") {
      return { allowed: false, reason: `${name}=${value} is not from ${min} to ${max}` };
    }
    args[name] = within;
  }
  return { allowed: true, action: { name: action.name, args } };
}
