import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ChatMessage, Tool } from "../../../src/reasoner/endpoint/chat.ts";

/** One step of an answer. */
export type Step =
  /** Bytes as they are. */
  | { send: string | Uint8Array }
  | { waitMs: number }
  /** Waits until the test says so. */
  | { until: Promise<unknown> }
  /** Sends it again and again for as long as the client reads. */
  | { endless: string }
  /** Breaks the connection. */
  | { cut: true }
  /** Says nothing more, and does not end. */
  | { hang: true };

export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** Before the headers. */
  delayMs?: number;
  steps: readonly Step[];
}

export interface Received {
  headers: IncomingHttpHeaders;
  path: string;
  body: { model: string; stream: boolean; messages: ChatMessage[]; tools?: Tool[] };
  /** Resolves when the connection of this request closes or its answer has ended. */
  closed: Promise<void>;
}

/** An OpenAI-compatible endpoint that does what a test tells it: over HTTP, on a loopback port. */
export class ScriptedEndpoint {
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #answer: (request: Received, index: number) => Answer;

  private constructor(answer: (request: Received, index: number) => Answer) {
    this.#answer = answer;
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      request.on("data", (bytes: Buffer) => pieces.push(bytes));
      request.on("end", () => {
        const received: Received = {
          headers: request.headers,
          path: request.url ?? "",
          body: JSON.parse(Buffer.concat(pieces).toString("utf8")),
          closed: new Promise((resolve) => response.once("close", resolve)),
        };
        this.received.push(received);
        void play(response, this.#answer(received, this.received.length - 1));
      });
    });
  }

  /** @param answer what to say to a request, and to which: `index` counts them from 0. */
  static async start(answer: (request: Received, index: number) => Answer): Promise<ScriptedEndpoint> {
    const endpoint = new ScriptedEndpoint(answer);
    await new Promise<void>((resolve) => endpoint.#server.listen(0, "127.0.0.1", resolve));
    return endpoint;
  }

  get baseUrl(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function play(response: ServerResponse, answer: Answer): Promise<void> {
  const closed = new Promise((resolve) => response.once("close", resolve));
  if (answer.delayMs) await pause(answer.delayMs);
  response.writeHead(answer.status ?? 200, { "content-type": "text/event-stream", ...answer.headers });
  response.flushHeaders();
  for (const step of answer.steps) {
    if (response.destroyed) return;
    if ("send" in step) response.write(step.send);
    else if ("waitMs" in step) await pause(step.waitMs);
    else if ("until" in step) await step.until;
    else if ("cut" in step) return void response.destroy();
    else if ("hang" in step) return;
    else {
      while (!response.destroyed) {
        if (!response.write(step.endless)) {
          await Promise.race([closed, new Promise((resolve) => response.once("drain", resolve))]);
        }
      }
      return;
    }
  }
  response.end();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/** One server-sent event. */
export function event(data: unknown): Step {
  return { send: `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n` };
}

/** A chunk with text. */
export function text(content: string): Step {
  return event({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
}

export function finish(reason = "stop"): Step {
  return event({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });
}

export const DONE: Step = { send: "data: [DONE]\n\n" };

/** A whole answer of these pieces of text. */
export function answer(...pieces: string[]): Answer {
  return { steps: [...pieces.map(text), finish(), DONE] };
}

/** A whole answer that calls ask_person, its arguments in fragments of `size` characters. */
export function ask(question: string, { id = "call_1", size = 5, tool = "ask_person" } = {}): Answer {
  const json = JSON.stringify({ question });
  const fragments = Array.from({ length: Math.ceil(json.length / size) }, (_, i) =>
    json.slice(i * size, (i + 1) * size),
  );
  const call = (fragment: object): Step =>
    event({
      choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...fragment }] }, finish_reason: null }],
    });
  return {
    steps: [
      call({ id, type: "function", function: { name: tool, arguments: "" } }),
      ...fragments.map((part) => call({ function: { arguments: part } })),
      finish("tool_calls"),
      DONE,
    ],
  };
}
