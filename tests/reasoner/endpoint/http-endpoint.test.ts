import { inspect } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { ASK_PERSON, questionOf } from "../../../src/reasoner/endpoint/ask-person.ts";
import type { CompletionPart, CompletionRequest } from "../../../src/reasoner/endpoint/chat.ts";
import { EndpointError, type EndpointFault } from "../../../src/reasoner/endpoint/fault.ts";
import { type EndpointConfig, HttpEndpoint } from "../../../src/reasoner/endpoint/http-endpoint.ts";
import {
  type Answer,
  answer,
  ask,
  DONE,
  event,
  finish,
  type Received,
  ScriptedEndpoint,
  text,
} from "./scripted-endpoint.ts";

const KEY = "sk-secret-0123456789";
/** Long enough that only a test of a limit runs into it. */
const AMPLE_MS = 30_000;

let server: ScriptedEndpoint | undefined;
afterEach(() => server?.close());

interface Harness {
  endpoint: HttpEndpoint;
  server: ScriptedEndpoint;
  /** Waits before retries, ms, which the tests do not sit through. */
  waits: number[];
}

async function scripted(
  script: (request: Received, index: number) => Answer,
  config: Partial<EndpointConfig> = {},
): Promise<Harness> {
  server = await ScriptedEndpoint.start(script);
  const waits: number[] = [];
  const endpoint = new HttpEndpoint(
    {
      baseUrl: server.baseUrl,
      model: "deep-thought",
      key: KEY,
      firstByteMs: AMPLE_MS,
      idleMs: AMPLE_MS,
      maxResponseBytes: 100_000,
      maxEventChars: 10_000,
      backoff: { maxAttempts: 3, firstMs: 100, maxMs: 1000 },
      ...config,
    },
    {
      random: () => 0.5,
      wait: async (ms) => {
        waits.push(ms);
      },
    },
  );
  return { endpoint, server, waits };
}

function ofPerson(content: string): CompletionRequest {
  return {
    messages: [{ role: "user", content }],
    tools: [ASK_PERSON],
    timeoutMs: AMPLE_MS,
    signal: new AbortController().signal,
  };
}

/** A step waits for it: bytes that lie unread when a connection breaks are lost, so the break must come after. */
function signalled(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

async function collect(
  endpoint: HttpEndpoint,
  request: Partial<CompletionRequest> = {},
  onPart: () => void = () => {},
): Promise<{ text: string; parts: CompletionPart[]; error: unknown }> {
  const parts: CompletionPart[] = [];
  let error: unknown = null;
  try {
    for await (const part of endpoint.complete({ ...ofPerson("why?"), ...request })) {
      parts.push(part);
      onPart();
    }
  } catch (caught) {
    error = caught;
  }
  const text = parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
  return { text, parts, error };
}

function faultOf(error: unknown): EndpointFault {
  expect(error).toBeInstanceOf(EndpointError);
  return (error as EndpointError).fault;
}

describe("a completion", () => {
  test("is asked for in the chat-completions format", async () => {
    const { endpoint, server } = await scripted(() => answer("yes"));
    await collect(endpoint);
    const [request] = server.received;
    expect(request!.path).toBe("/v1/chat/completions");
    expect(request!.headers.authorization).toBe(`Bearer ${KEY}`);
    expect(request!.body).toEqual({
      model: "deep-thought",
      stream: true,
      messages: [{ role: "user", content: "why?" }],
      tools: [ASK_PERSON],
    });
  });

  test("keeps the query of the base URL and forgives a final slash", async () => {
    server = await ScriptedEndpoint.start(() => answer("yes"));
    const { endpoint } = await scripted(() => answer("yes"), {
      baseUrl: new URL(`${server.baseUrl}/?api-version=3`),
    });
    await server.close();
    expect(endpoint.name).toMatch(/^deep-thought at http:\/\/127\.0\.0\.1:\d+\/v1\/chat\/completions$/);
  });

  test("arrives piece by piece, whatever the cuts between the bytes", async () => {
    const bytes = Buffer.from(
      [text("Grüße, "), text("Welt 🌍"), finish(), DONE]
        .map((step) => (step as { send: string }).send)
        .join(""),
    );
    const { endpoint } = await scripted(() => ({
      steps: Array.from(bytes, (byte) => ({ send: Uint8Array.of(byte) })),
    }));
    const { text: said, parts, error } = await collect(endpoint);
    expect(error).toBeNull();
    expect(said).toBe("Grüße, Welt 🌍");
    expect(parts.at(-1)).toEqual({ kind: "end", finishReason: "stop", toolCalls: [] });
  });

  test("is whole without [DONE], and with token counts, comments and unknown fields", async () => {
    const { endpoint } = await scripted(() => ({
      steps: [
        { send: ": keep-alive\n\n" },
        { send: "retry: 10\nnonsense: 3\n" },
        event({ id: "x", choices: [{ index: 0, delta: { role: "assistant", content: "" } }] }),
        text("42"),
        finish("length"),
        event({ choices: [], usage: { total_tokens: 12 } }),
      ],
    }));
    const { text: said, parts, error } = await collect(endpoint);
    expect(error).toBeNull();
    expect(said).toBe("42");
    expect(parts.at(-1)).toMatchObject({ finishReason: "length" });
  });

  test.each<[string, Answer["steps"][number]]>([
    ["hangs", { hang: true }],
    ["is cut", { cut: true }],
    ["goes on for ever", { endless: ": noise\n" }],
    ["turns to nonsense", event("nonsense")],
    ["carries an error", event({ error: { message: "too late" } })],
  ])("is whole once its finish reason came, if the stream then %s", async (_, step) => {
    const whole = [text("42"), finish()].map((part) => (part as { send: string }).send).join("");
    const heard = signalled();
    const { endpoint } = await scripted(() => ({ steps: [{ send: whole }, { until: heard.promise }, step] }));
    const { text: said, parts, error } = await collect(endpoint, {}, heard.resolve);
    expect(error).toBeNull();
    expect(said).toBe("42");
    expect(parts.at(-1)).toMatchObject({ kind: "end", finishReason: "stop" });
  });

  test("puts a tool call together from its fragments", async () => {
    const { endpoint } = await scripted(() => ask('Left or "right"?', { size: 3 }));
    const { parts } = await collect(endpoint);
    const end = parts.at(-1) as Extract<CompletionPart, { kind: "end" }>;
    expect(end.finishReason).toBe("tool_calls");
    expect(end.toolCalls).toHaveLength(1);
    expect(end.toolCalls[0]!.id).toBe("call_1");
    expect(questionOf(end.toolCalls[0]!)).toBe('Left or "right"?');
  });

  test("knows calls apart where the endpoint gives no index", async () => {
    const call = (id: string, question: string) => ({
      id,
      function: { name: "ask_person", arguments: JSON.stringify({ question }) },
    });
    const { endpoint } = await scripted(() => ({
      steps: [
        event({ choices: [{ delta: { tool_calls: [call("a", "How tall?")] } }] }),
        event({ choices: [{ delta: { tool_calls: [call("b", "How old?")] } }] }),
        finish("tool_calls"),
      ],
    }));
    const end = (await collect(endpoint)).parts.at(-1) as Extract<CompletionPart, { kind: "end" }>;
    expect(end.toolCalls.map(({ id }) => id)).toEqual(["a", "b"]);
    expect(end.toolCalls.map(questionOf)).toEqual(["How tall?", "How old?"]);
  });
});

describe("a fault has a name, and is tried again only where that may help", () => {
  const status = (code: number, headers: Record<string, string> = {}): Answer => ({
    status: code,
    headers: { "content-type": "application/json", ...headers },
    steps: [{ send: JSON.stringify({ error: { message: `bad key ${KEY}`, code: "some_code" } }) }],
  });
  const cases: [string, EndpointFault, number, Answer][] = [
    ["status 401", "unauthorized", 1, status(401)],
    ["status 403", "unauthorized", 1, status(403)],
    ["status 400", "rejected", 1, status(400)],
    ["status 404", "rejected", 1, status(404)],
    ["a redirect", "rejected", 1, status(307, { location: "http://127.0.0.1:1/" })],
    ["status 429", "rate-limited", 3, status(429)],
    ["status 408", "server-error", 3, status(408)],
    ["status 500", "server-error", 3, status(500)],
    ["status 503", "server-error", 3, status(503)],
    [
      "a web page",
      "wrong-content-type",
      1,
      { headers: { "content-type": "text/html" }, steps: [{ send: "<html>" }] },
    ],
    [
      "JSON",
      "wrong-content-type",
      1,
      { headers: { "content-type": "application/json" }, steps: [{ send: "{}" }] },
    ],
    ["text that is not JSON", "malformed-chunk", 1, { steps: [event("{oops")] }],
    ["JSON that is no chunk", "malformed-chunk", 1, { steps: [event({ choices: "none" })] }],
    [
      "content of another type",
      "malformed-chunk",
      1,
      { steps: [event({ choices: [{ delta: { content: 3 } }] })] },
    ],
    [
      "bytes that are not UTF-8",
      "malformed-chunk",
      1,
      { steps: [{ send: Uint8Array.of(0x64, 0xff, 0xfe) }] },
    ],
    ["an error object", "stream-error", 3, { steps: [event({ error: { message: "x", code: 503 } })] }],
    ["an error text", "stream-error", 3, { steps: [event({ error: "overloaded" })] }],
    ["a connection cut before anything", "cut", 3, { steps: [{ cut: true }] }],
    ["[DONE] and no finish reason", "cut", 3, { steps: [DONE] }],
    ["an empty stream", "cut", 3, { steps: [] }],
    ["an endless stream of comments", "too-large", 1, { steps: [{ endless: ": noise\n" }] }],
    ["an event without end", "too-large", 1, { steps: [{ endless: "data: noise\n" }] }],
    ["a line without end", "too-large", 1, { steps: [{ endless: "data" }] }],
    [
      "tool calls without number",
      "bad-tool-call",
      1,
      { steps: [event({ choices: [{ delta: { tool_calls: [{ index: 7, id: "a" }] } }] })] },
    ],
  ];

  test.each(cases)("%s: %s after %i attempt(s)", async (_, fault, attempts, script) => {
    const { endpoint, server } = await scripted(() => script);
    const { error, text: said } = await collect(endpoint);
    expect(faultOf(error)).toBe(fault);
    expect((error as Error).message).toContain(fault);
    expect(server.received).toHaveLength(attempts);
    expect(said).toBe("");
  });

  test("a status tells its code, never the endpoint's words or the key", async () => {
    const { endpoint } = await scripted(() => status(401));
    const { error } = await collect(endpoint);
    expect((error as Error).message).toContain("status 401, code some_code");
    const everything =
      inspect({ error, endpoint }, { depth: 10, showHidden: true }) + JSON.stringify(endpoint);
    expect(everything).not.toContain(KEY);
    expect(everything).not.toContain("bad key");
  });

  test("nobody listens: unreachable", async () => {
    const { endpoint, server, waits } = await scripted(() => answer());
    await server.close();
    const { error } = await collect(endpoint);
    expect(faultOf(error)).toBe("unreachable");
    expect((error as Error).message).toContain("ECONNREFUSED");
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(KEY);
    expect(waits).toHaveLength(2);
  });

  test("no headers: first-byte-timeout", async () => {
    const { endpoint, waits } = await scripted(() => ({ delayMs: AMPLE_MS, steps: [] }), { firstByteMs: 50 });
    expect(faultOf((await collect(endpoint)).error)).toBe("first-byte-timeout");
    expect(waits).toHaveLength(2);
  });

  test("headers and no more: idle-timeout, and the connection is given up", async () => {
    const { endpoint, server } = await scripted(() => ({ steps: [{ hang: true }] }), { idleMs: 50 });
    expect(faultOf((await collect(endpoint)).error)).toBe("idle-timeout");
    await Promise.all(server.received.map(({ closed }) => closed));
  });

  test("bytes keep a slow stream alive past the idle limit", async () => {
    const slow = Array.from({ length: 5 }, () => [{ waitMs: 300 }, { send: ": hm\n" }]).flat();
    const { endpoint } = await scripted(() => ({ steps: [...slow, ...answer("ah").steps] }), {
      idleMs: 1200,
    });
    const { text: said, error } = await collect(endpoint);
    expect(error).toBeNull();
    expect(said).toBe("ah");
  });

  test("a reader that takes its time is no idle stream", async () => {
    const { endpoint } = await scripted(() => answer("one", "two"), { idleMs: 1000 });
    let said = "";
    for await (const part of endpoint.complete(ofPerson("slowly"))) {
      await new Promise((resolve) => setTimeout(resolve, 1300));
      if (part.kind === "text") said += part.text;
    }
    expect(said).toBe("onetwo");
  });

  test("all the time is up: deadline, even if bytes came", async () => {
    const { endpoint, server } = await scripted(() => ({ steps: [text("and "), { hang: true }] }));
    expect(faultOf((await collect(endpoint, { timeoutMs: 500 })).error)).toBe("deadline");
    await Promise.all(server.received.map(({ closed }) => closed));
  });
});

describe("attempts", () => {
  test("go on until one succeeds, with jitter over a doubling bound", async () => {
    const { endpoint, waits } = await scripted(
      (_, index) => (index < 4 ? { status: 503, steps: [] } : answer("at last")),
      { backoff: { maxAttempts: 5, firstMs: 100, maxMs: 300 } },
    );
    const told: [string, number][] = [];
    const { text: said } = await collect(endpoint, { onRetry: (fault, ms) => told.push([fault, ms]) });
    expect(said).toBe("at last");
    expect(waits).toEqual([50, 100, 150, 150]);
    expect(told).toEqual(waits.map((ms) => ["server-error", ms]));
  });

  test.each([429, 503])("wait as long as a %i asks for", async (status) => {
    const { endpoint, waits } = await scripted((_, index) =>
      index === 0 ? { status, headers: { "retry-after": "7" }, steps: [] } : answer("now"),
    );
    expect((await collect(endpoint)).text).toBe("now");
    expect(waits).toEqual([7050]);
  });

  test("end at once if the wait would outlast the caller's time", async () => {
    const { endpoint, waits } = await scripted(() => ({
      status: 429,
      headers: { "retry-after": "3600" },
      steps: [],
    }));
    expect(faultOf((await collect(endpoint)).error)).toBe("rate-limited");
    expect(waits).toEqual([]);
  });

  test("are not made once text went out: it would be said twice", async () => {
    const heard = signalled();
    const { endpoint, server } = await scripted(() => ({
      steps: [text("half an ans"), { until: heard.promise }, { cut: true }],
    }));
    const { error, text: said } = await collect(endpoint, {}, heard.resolve);
    expect(faultOf(error)).toBe("cut");
    expect(said).toBe("half an ans");
    expect(server.received).toHaveLength(1);
  });

  test("end with the caller's reason when it aborts, and the connection closes", async () => {
    const abort = new AbortController();
    const { endpoint, server } = await scripted(() => ({ steps: [text("on and"), { hang: true }] }));
    const reason = new Error("the person dropped it");
    const parts: CompletionPart[] = [];
    const run = (async () => {
      for await (const part of endpoint.complete({ ...ofPerson("x"), signal: abort.signal })) {
        parts.push(part);
        abort.abort(reason);
      }
    })();
    await expect(run).rejects.toBe(reason);
    expect(parts).toHaveLength(1);
    await server.received[0]!.closed;
  });

  test("are given up by a caller that stops reading", async () => {
    const { endpoint, server } = await scripted(() => ({ steps: [text("on and"), { hang: true }] }));
    for await (const part of endpoint.complete(ofPerson("x"))) if (part.kind === "text") break;
    await server.received[0]!.closed;
  });
});
