import { describe, expect, test } from "vitest";
import { linkFailure } from "../../../src/reasoner/link/failure.ts";
import type { Link, PublishOutcome } from "../../../src/reasoner/link/link.ts";
import type { Reply } from "../../../src/reasoner/protocol/messages.ts";
import { GrowingText } from "../../../src/reasoner/worker/growing-text.ts";
import { ReplyStream } from "../../../src/reasoner/worker/reply-stream.ts";

/** A link whose every publish the test settles itself. */
class HandLink implements Link {
  readonly name = "by hand";
  readonly state = "up";
  readonly #waiting: { reply: Reply; resolve: () => void; reject: (fault: Error) => void }[] = [];
  #onPublish: () => void = () => {};

  publish({ payload }: { payload: Uint8Array }): Promise<PublishOutcome> {
    const reply = JSON.parse(Buffer.from(payload).toString()) as Reply;
    return new Promise((resolve, reject) => {
      this.#waiting.push({ reply, resolve: () => resolve({ matched: true }), reject });
      this.#onPublish();
    });
  }

  /** The oldest publish that is not settled. */
  async next(): Promise<{ reply: Reply; resolve: () => void; reject: (fault: Error) => void }> {
    while (this.#waiting.length === 0) {
      await new Promise<void>((resolve) => {
        this.#onPublish = resolve;
      });
    }
    return this.#waiting.shift()!;
  }

  /** How many are not settled. */
  get size(): number {
    return this.#waiting.length;
  }

  open(): void {}
  async subscribe(): Promise<void> {}
  async unsubscribe(): Promise<void> {}
  async close(): Promise<void> {}
}

function streamOn(link: Link): ReplyStream {
  return new ReplyStream({
    link,
    device: "mirror",
    task: "t1",
    attempt: 1,
    worker: "w1",
    controls: 0,
    traceparent: null,
    endsMs: performance.now() + 60_000,
    deltaIntervalMs: 0,
    heartbeatMs: 60_000,
  });
}

describe("a stream of replies", () => {
  test("says 'accepted' before a result that was there at once, and drops the deltas that it makes useless", async () => {
    const link = new HandLink();
    const stream = streamOn(link);
    stream.accept(15_000);
    stream.append("all of it");
    stream.finish({ kind: "result", text: "all of it" });
    const accepted = await link.next();
    expect(accepted.reply).toMatchObject({ kind: "accepted", seq: 1 });
    accepted.resolve();
    const result = await link.next();
    expect(result.reply).toMatchObject({ kind: "result", seq: 2 });
    result.resolve();
    expect(await stream.ended).toBe(true);
  });

  test("keeps one reply under way, and gathers text meanwhile into deltas that cut no character", async () => {
    const link = new HandLink();
    const stream = streamOn(link);
    stream.accept(15_000);
    const accepted = await link.next();
    const whole = `x${"🌍".repeat(1500)}`;
    for (const character of whole) stream.append(character);
    expect(link.size).toBe(0);
    accepted.resolve();
    let joined = "";
    while (joined.length < whole.length) {
      const { reply, resolve } = await link.next();
      if (reply.kind !== "delta") throw new Error(reply.kind);
      expect(reply.offset).toBe(joined.length);
      joined += reply.text;
      resolve();
    }
    expect(joined).toBe(whole);
    stream.close();
    expect(await stream.ended).toBe(false);
  });

  test.each(["link-down", "link-busy", "link-timeout"] as const)(
    "sends the same reply again after %s, before any other",
    async (code) => {
      const link = new HandLink();
      const stream = streamOn(link);
      stream.accept(15_000);
      const first = await link.next();
      stream.took(1);
      first.reject(linkFailure(code, "by hand", "for the test"));
      const again = await link.next();
      expect(again.reply).toEqual(first.reply);
      again.resolve();
      const confirmation = await link.next();
      expect(confirmation.reply).toMatchObject({ kind: "progress", seq: 2, controls: 1 });
      stream.close();
      confirmation.reject(linkFailure(code, "by hand", "for the test"));
      expect(await stream.ended).toBe(false);
    },
  );

  test("ends when the broker refuses it for good", async () => {
    const link = new HandLink();
    const stream = streamOn(link);
    stream.accept(15_000);
    (await link.next()).reject(linkFailure("link-refused", "by hand", "not authorised"));
    await expect(stream.ended).rejects.toThrow("not authorised");
  });
});

describe("a growing text", () => {
  test("holds back half of a character until the other half comes", () => {
    const growing = new GrowingText(10);
    const [high, low] = ["🌍"[0]!, "🌍"[1]!];
    expect([growing.append(`a${high}`), growing.append(`${low}b`)]).toEqual(["a", "🌍b"]);
    expect(growing.text).toBe("a🌍b");
  });

  test("takes no control characters and no more than its bound", () => {
    const growing = new GrowingText(5);
    growing.append("a\u0007b\u001b[31m");
    expect(growing.text).toBe("ab[31");
    expect(growing.full).toBe(true);
    expect(growing.append("more")).toBe("");
  });
});
