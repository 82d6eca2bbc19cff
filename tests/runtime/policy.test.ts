import { describe, expect, test } from "vitest";
import { judge, NO_BOUNDS, type Policy } from "../../src/runtime/policy.ts";

const policy: Policy = {
  actuators: {
    drive: {
      speed: { min: -0.5, max: 0.5, outside: "veto" },
      turn: { min: -1, max: 1, outside: "clip" },
    },
  },
};
const drive = (args: Record<string, unknown>) => judge(policy, { name: "drive", args });

describe("the bounds of an actuator", () => {
  test.each([{ speed: 0.5 }, { speed: -0.5, turn: 1 }, { turn: -1 }, {}])("hold %j", (args) => {
    expect(drive(args)).toEqual({ allowed: true, action: { name: "drive", args } });
  });

  test.each([
    [{ speed: 0.5000001 }, "speed=0.5000001 is not from -0.5 to 0.5"],
    [{ speed: -3, turn: 0 }, "speed=-3"],
    [{ turn: Number.NaN }, "turn is not a number"],
    [{ turn: Number.POSITIVE_INFINITY }, "turn is not a number"],
    [{ turn: "1" }, "turn is not a number"],
    [{ turn: null }, "turn is not a number"],
    [{ speed: 0, force: 0 }, "force is not in the policy"],
    [{ toString: 0 }, "toString is not in the policy"],
  ])("veto %j", (args, reason) => {
    const verdict = drive(args);
    expect(verdict).toMatchObject({ allowed: false });
    expect(verdict.allowed ? "" : verdict.reason).toContain(reason);
  });

  test("clip only where the policy says so", () => {
    expect(drive({ turn: 7 })).toEqual({ allowed: true, action: { name: "drive", args: { turn: 1 } } });
    expect(drive({ turn: -7, speed: 0.1 })).toEqual({
      allowed: true,
      action: { name: "drive", args: { turn: -1, speed: 0.1 } },
    });
    expect(drive({ turn: 7, speed: 7 })).toMatchObject({ allowed: false });
  });

  test("leave alone what moves nothing", () => {
    const action = { name: "delegate", args: { text: "find out" } };
    expect(judge(policy, action)).toEqual({ allowed: true, action });
    expect(judge(NO_BOUNDS, { name: "toString", args: {} })).toMatchObject({ allowed: true });
  });
});
