import type { Control, Reply, Request } from "../../../src/reasoner/protocol/messages.ts";
import type { Address, Channel, MessageByChannel } from "../../../src/reasoner/protocol/topics.ts";
import { encodeMessage, type WireMessage } from "../../../src/reasoner/protocol/wire.ts";

const request: Request = {
  v: 1,
  kind: "request",
  task: "task-1",
  attempt: 2,
  text: "Why is the sky blue? 😀",
  deadlineMs: 59_500,
  context: {
    v: 1,
    elapsedMs: 61_000.5,
    transcript: [
      { by: "person", timeMs: 1000, text: "count my squats", heard: true },
      { by: "device", timeMs: 2000, text: "one\ntwo", heard: false },
    ],
    counts: [{ name: "squats", value: 12 }],
    devices: [{ device: "file camera", state: "ready" }],
    stills: [{ captureMs: 60_000, width: 320, height: 240, jpeg: "/9j/4AAQSkZJRgABAQ==" }],
  },
  followUps: [
    { kind: "amend", control: 1, text: "at noon, I mean" },
    { kind: "answer", control: 2, ask: "ask-1", question: "On which planet?", text: "here" },
  ],
};

const controlBase = { v: 1, task: "task-1", attempt: 2, validSeconds: 30 } as const;
const controls: Control[] = [
  { ...controlBase, kind: "amend", control: 3, text: "in short" },
  { ...controlBase, kind: "answer", control: 4, ask: "ask-2", question: "Metric?", text: "yes" },
  { ...controlBase, kind: "cancel", reason: "superseded" },
];

const replyBase = {
  v: 1,
  task: "task-1",
  attempt: 2,
  worker: "worker-a",
  controls: 2,
  validSeconds: 600,
} as const;
const replies: Reply[] = [
  { ...replyBase, kind: "accepted", seq: 1, leaseMs: 10_000 },
  { ...replyBase, kind: "progress", seq: 2, text: "reading" },
  { ...replyBase, kind: "progress", seq: 3 },
  { ...replyBase, kind: "delta", seq: 4, offset: 0, text: "Because" },
  { ...replyBase, kind: "ask", seq: 5, ask: "ask-3", text: "How long may it be?" },
  { ...replyBase, kind: "result", seq: 6, text: "Because blue light is scattered more." },
  { ...replyBase, kind: "error", seq: 7, code: "endpoint", retryable: true, message: "status 503" },
];

export interface Sample {
  name: string;
  address: Address;
  message: MessageByChannel[Channel];
}

const device = "mirror-1";

/** One valid message of every kind. */
export const SAMPLES: readonly Sample[] = [
  { address: { channel: "requests", device } as const, message: request },
  ...controls.map((message) => ({
    address: { channel: "controls", worker: "worker-a", device } as const,
    message,
  })),
  ...replies.map((message) => ({ address: { channel: "replies", device } as const, message })),
  {
    address: { channel: "device-presence", device } as const,
    message: { v: 1, kind: "presence", state: "online" } as const,
  },
  {
    address: { channel: "worker-presence", worker: "worker-a" } as const,
    message: { v: 1, kind: "presence", state: "draining" } as const,
  },
  {
    address: { channel: "device-state", device } as const,
    message: {
      v: 1,
      kind: "state",
      session: "running",
      tasksWaiting: 0,
      tasksRunning: 1,
      lateMicroTurns: 3,
    } as const,
  },
].map((sample) => ({ ...sample, name: `${sample.address.channel} ${sample.message.kind}` }));

export const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

export function encodeSample({ address, message }: Sample): WireMessage {
  return encodeMessage(address as never, message as never, TRACEPARENT);
}
