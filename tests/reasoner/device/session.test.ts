import { describe, expect, test } from "vitest";
import { FakeCamera } from "../../../devices/camera/fake-camera.ts";
import { NullSpeaker } from "../../../devices/speaker/null-speaker.ts";
import { TypedTexts } from "../../../devices/text/typed-text.ts";
import { FakeVoice } from "../../../devices/voice/fake-voice.ts";
import { VirtualClock } from "../../../src/core/clock.ts";
import { ReasonerClient } from "../../../src/reasoner/device/client.ts";
import { InProcessBroker, type InProcessLink } from "../../../src/reasoner/link/in-process.ts";
import { Outbox } from "../../../src/reasoner/outbox/outbox.ts";
import { Delegation } from "../../../src/runtime/delegation.ts";
import type { SessionEvent } from "../../../src/runtime/events.ts";
import { Session } from "../../../src/runtime/session.ts";
import { DelegatingModel } from "./delegating-model.ts";
import { ScriptedWorker } from "./scripted-worker.ts";
import { DEVICE, outboxFolder } from "./session-setup.ts";

interface Setup {
  texts: { seconds: number; text: string }[];
  /** What the worker and the network do, in session time. */
  play(scene: {
    worker: ScriptedWorker;
    link: InProcessLink;
    at: (seconds: number) => Promise<void>;
  }): Promise<void>;
  durationS?: number;
}

/** A session of the delegating model in virtual time, over an in-process link; returns its account as lines. */
async function sessionLines({ texts, play, durationS = 10 }: Setup): Promise<string[]> {
  const clock = new VirtualClock();
  const broker = new InProcessBroker();
  const worker = new ScriptedWorker(
    broker.link({ clientId: "w", sessionExpirySeconds: 0, receiveMaximum: 64 }),
    {
      id: "w",
      device: DEVICE,
    },
  );
  await worker.open();
  const link = broker.link({ clientId: DEVICE, sessionExpirySeconds: 3600, receiveMaximum: 64 });
  const outbox = await Outbox.open({ folder: outboxFolder(), maxBytes: 1e6, maxAgeMs: 1e6, fsync: "never" });
  const reasoner = new ReasonerClient({ device: DEVICE, link, outbox, deadlineMs: 60_000, staleMs: 5000 });
  const delegation = new Delegation(reasoner, { transcript: true, stills: false });
  const events: SessionEvent[] = [];
  const every200 = Array.from({ length: durationS * 5 }, (_, i) => 200 * i);
  const session = new Session({
    clock,
    model: new DelegatingModel(),
    sources: [new FakeCamera({ captureMs: every200 }), new TypedTexts(texts), reasoner.source],
    voice: new FakeVoice(),
    speaker: new NullSpeaker(clock),
    observers: [{ event: (event) => events.push(event) }, delegation],
    actionSinks: [delegation],
    durationMs: durationS * 1000,
    log: { write: () => {} },
  });
  const at = (seconds: number) => clock.sleepUntil(1000 * seconds);
  await Promise.all([play({ worker, link, at }), session.run()]);
  await reasoner.close();
  expect(events.filter(({ kind }) => kind === "late")).toEqual([]);
  return events.flatMap((event) => {
    switch (event.kind) {
      case "speech":
        return [`says ${event.text}`];
      case "action":
        return [`does ${event.name} ${String(event.args.text ?? "")}`.trim()];
      case "reasoner":
        return [`reasoner ${event.state} ${event.text}`.trim()];
      case "device":
        return event.device === "reasoner" ? [`link ${event.state}`] : [];
      default:
        return [];
    }
  });
}

/** The lines of `wanted` in the order in which they stand in `lines`; any others may stand between them. */
function expectInOrder(lines: readonly string[], wanted: readonly string[]): void {
  let from = 0;
  for (const line of wanted) {
    const found = lines.indexOf(line, from);
    expect(
      found,
      `'${line}' after '${lines[from - 1] ?? "the start"}' in\n${lines.join("\n")}`,
    ).toBeGreaterThanOrEqual(0);
    from = found + 1;
  }
}

describe("a session with a reasoner", () => {
  test("delegates what it cannot do, stays present, passes a correction on, asks at once, and says the result", async () => {
    const lines = await sessionLines({
      texts: [
        { seconds: 2, text: "what should I eat tomorrow?" },
        { seconds: 4, text: "no, the day after" },
        { seconds: 6, text: "fish" },
      ],
      async play({ worker, at }) {
        const request = await worker.request();
        await worker.accept(request);
        await at(4.7);
        await worker.reply(request, { kind: "ask", ask: "q1", text: "do you eat fish?" });
        await at(7);
        await worker.result(request, "salmon");
        expect(worker.controls).toMatchObject([
          { kind: "amend", control: 1, text: "no, the day after" },
          { kind: "answer", control: 2, ask: "q1", text: "fish" },
        ]);
        expect(request.context.transcript.map(({ by, text }) => `${by}: ${text}`)).toEqual([
          "device: 1",
          "person: what should I eat tomorrow?",
        ]);
      },
    });
    expectInOrder(lines, [
      "link ready",
      "says 1",
      "does delegate what should I eat tomorrow?",
      "says I am looking into it",
      "says 3",
      "does amend no, the day after",
      "reasoner ask do you eat fish?",
      "says do you eat fish?",
      "does answer fish",
      "reasoner result salmon",
      "says salmon",
    ]);
    // It never lost count meanwhile.
    const numbers = lines
      .map((line) => /^says .*?(\d+)$/.exec(line)?.[1])
      .filter((number) => number !== undefined);
    expect(numbers).toEqual(["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    expect(lines.filter((line) => line.startsWith("reasoner result"))).toHaveLength(1);
  });

  test("says that it is offline, and what came of the task when it is not any more", async () => {
    const lines = await sessionLines({
      texts: [{ seconds: 2, text: "what is a plank?" }],
      async play({ worker, link, at }) {
        await at(1);
        link.cut();
        await at(5);
        link.mend();
        const request = await worker.request();
        await worker.accept(request);
        await worker.result(request, "an exercise");
      },
    });
    expectInOrder(lines, [
      "link lost",
      "says I am offline",
      "does delegate what is a plank?",
      "reasoner waiting the reasoner cannot be reached now",
      "says I am looking into it",
      "says it may take a while",
      "link ready",
      "reasoner result an exercise",
      "says an exercise",
    ]);
  });

  test("a task that the person drops is cancelled, and nothing is said of it", async () => {
    const lines = await sessionLines({
      texts: [
        { seconds: 1, text: "what is a plank?" },
        { seconds: 3, text: "never mind" },
      ],
      async play({ worker, at }) {
        const request = await worker.request();
        await worker.accept(request);
        await at(4);
        expect(worker.controls).toMatchObject([{ kind: "cancel", reason: "dropped" }]);
        await worker.result(request, "an exercise");
      },
    });
    expect(lines).toContain("does cancel");
    expect(lines.filter((line) => line.includes("an exercise"))).toEqual([]);
  });
});
