import { expect, test } from "vitest";
import { SessionStatus } from "../../src/cli/session-status.ts";
import type { StatusLink } from "../../src/reasoner/status/status-link.ts";
import type { SessionEvent } from "../../src/runtime/events.ts";

test("a session's state follows its tasks and late steps, and says nothing of what they are about", () => {
  const told: unknown[] = [];
  const status = new SessionStatus({
    update: (change: unknown) => told.push(change),
  } as unknown as StatusLink);
  const reasoner = (task: string, state: string) =>
    ({ kind: "reasoner", task, state, about: "my knee", text: "hurts", ageMs: 0, stale: false }) as const;
  const events = [
    reasoner("a", "waiting"),
    reasoner("b", "waiting"),
    reasoner("a", "accepted"),
    { kind: "late", stepMs: 250 },
    reasoner("a", "ask"),
    reasoner("b", "refused"),
    reasoner("a", "result"),
    reasoner("b", "failed"),
    { kind: "end" },
  ];
  for (const event of events) status.event({ tMs: 0, microTurn: 0, ...event } as SessionEvent);
  const of = (session: string, tasksWaiting: number, tasksRunning: number, lateMicroTurns: number) => ({
    session,
    tasksWaiting,
    tasksRunning,
    lateMicroTurns,
  });
  expect(told).toEqual([
    of("running", 1, 0, 0),
    of("running", 2, 0, 0),
    of("running", 1, 1, 0),
    of("running", 1, 1, 1),
    of("running", 1, 1, 1),
    of("running", 1, 1, 1),
    of("running", 1, 0, 1),
    of("running", 0, 0, 1),
    of("idle", 0, 0, 1),
  ]);
});
