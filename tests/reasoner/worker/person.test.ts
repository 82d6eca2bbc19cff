import { describe, expect, test } from "vitest";
import { answer, ask, finish, text } from "../endpoint/scripted-endpoint.ts";
import { gate, hire, joined, kinds, lastUserText, scene } from "./stage.ts";

describe("the person", () => {
  test("is asked, again and again until the answer comes, and the conversation goes on with it", async () => {
    const stage = await scene((_, index) => (index === 0 ? ask("Which knee?") : answer("Rest it.")));
    await hire(stage, { leaseMs: 1000 });
    const { device, endpoint } = stage;
    await device.request();
    const question = await device.reply("ask");
    expect(question.text).toBe("Which knee?");
    await device.until(() => kinds(device.replies).filter((kind) => kind === "ask").length >= 3);
    const asks = device.replies.filter((reply) => reply.kind === "ask");
    expect(new Set(asks.map((reply) => reply.ask)).size).toBe(1);
    await device.control("w1", {
      kind: "answer",
      task: "t1",
      attempt: 1,
      control: 1,
      ask: question.ask,
      question: question.text,
      text: "the left one",
    });
    expect(await device.reply("result")).toMatchObject({ controls: 1, text: "Rest it." });
    expect(endpoint.received[1]!.body.messages.slice(-2)).toEqual([
      {
        role: "assistant",
        content: null,
        tool_calls: [
          {
            id: "call_1",
            type: "function",
            function: { name: "ask_person", arguments: '{"question":"Which knee?"}' },
          },
        ],
      },
      { role: "tool", tool_call_id: "call_1", content: "the left one" },
    ]);
  });

  test("may say something else than the answer: it counts as passed over", async () => {
    const stage = await scene((_, index) => (index === 0 ? ask("Which knee?") : answer("Fine.")));
    await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("ask");
    await device.control("w1", {
      kind: "amend",
      task: "t1",
      attempt: 1,
      control: 1,
      text: "forget the knee",
    });
    await device.reply("result");
    const [tool, user] = endpoint.received[1]!.body.messages.slice(-2);
    expect(tool).toMatchObject({ role: "tool", tool_call_id: "call_1" });
    expect(user).toEqual({ role: "user", content: "The person corrects or adds: forget the knee" });
  });

  test("may correct while the answer is being written: it is aborted and begun anew", async () => {
    const go = gate();
    const stage = await scene((_, index) =>
      index === 0
        ? { steps: [text("On Monday "), { hang: true }] }
        : { steps: [text("On Tuesday, "), { until: go.opened }, text("then."), finish()] },
    );
    await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("delta");
    await device.control("w1", { kind: "amend", task: "t1", attempt: 1, control: 1, text: "not on Mondays" });
    await endpoint.received[0]!.closed;
    await device.reply("delta", ({ text: piece, offset }) => piece === "On Tuesday, " && offset === 0);
    go.open();
    expect(await device.reply("result")).toMatchObject({ controls: 1, text: "On Tuesday, then." });
    expect(lastUserText(endpoint.received[1]!)).toBe("The person corrects or adds: not on Mondays");
    joined(device.replies);
  });

  test("is heard once and in order, whatever is repeated or skipped", async () => {
    const go = gate();
    const stage = await scene((request) =>
      lastUserText(request) === "The person corrects or adds: second"
        ? { steps: [{ until: go.opened }, ...answer("ok").steps] }
        : { steps: [{ hang: true }] },
    );
    const { metrics } = await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("accepted");
    const amend = (control: number, said: string) =>
      device.control("w1", { kind: "amend", task: "t1", attempt: 1, control, text: said });
    await amend(2, "second, too early");
    await amend(1, "first");
    await amend(1, "first again");
    await device.reply("progress", ({ controls }) => controls === 1);
    await amend(2, "second");
    await device.reply("progress", ({ controls }) => controls === 2);
    go.open();
    expect((await device.reply("result")).controls).toBe(2);
    const said = endpoint.received
      .at(-1)!
      .body.messages.slice(2)
      .map(({ content }) => content);
    expect(said).toEqual(["The person corrects or adds: first", "The person corrects or adds: second"]);
    expect(await metrics.registry.metrics()).toContain('messages_refused_total{reason="out-of-turn"} 2');
  });

  test("is heard by the next worker too: follow-ups travel with the request", async () => {
    const stage = await scene(() => answer("ok"));
    await hire(stage);
    await stage.device.request({
      attempt: 2,
      followUps: [
        { kind: "amend", control: 1, text: "shorter" },
        { kind: "answer", control: 2, ask: "a1q1", question: "Which knee?", text: "left" },
      ],
    });
    expect(await stage.device.reply("result")).toMatchObject({ attempt: 2, controls: 2 });
    const said = stage.endpoint.received[0]!.body.messages.slice(2).map(({ content }) => content);
    expect(said).toEqual([
      "The person corrects or adds: shorter",
      "You asked the person: Which knee?\nThe person answered: left",
    ]);
  });

  test("may drop the task", async () => {
    const stage = await scene(() => ({ steps: [text("Well, "), { hang: true }] }));
    await hire(stage);
    const { device, endpoint } = stage;
    await device.request();
    await device.reply("delta");
    await device.control("w1", { kind: "cancel", task: "t1", attempt: 1, reason: "dropped" });
    expect(await device.reply("error")).toMatchObject({ code: "cancelled", retryable: false });
    await endpoint.received[0]!.closed;
  });
});
