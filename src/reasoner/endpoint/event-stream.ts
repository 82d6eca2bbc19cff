import { TextDecoder } from "node:util";
import { createParser } from "eventsource-parser";
import { EndpointError } from "./fault.ts";

export interface StreamLimits {
  /** Bytes of the whole response. */
  maxResponseBytes: number;
  /** Characters of one event. */
  maxEventChars: number;
}

/**
 * The data of each server-sent event, as the bytes arrive: https://html.spec.whatwg.org/multipage/server-sent-events.html
 *
 * @param guard wraps each wait for bytes, so that the caller may bound it.
 * @throws EndpointError "too-large", "malformed-chunk" for bytes that are not UTF-8, "cut" if the connection breaks.
 */
export async function* eventStream(
  body: ReadableStream<Uint8Array>,
  limits: StreamLimits,
  guard: <T>(read: Promise<T>) => Promise<T>,
): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const events: string[] = [];
  let overflow = false;
  const parser = createParser({
    maxBufferSize: limits.maxEventChars,
    onEvent: ({ data }) => events.push(data),
    onError: ({ type }) => {
      // Unknown fields are to be ignored, says the standard.
      if (type === "max-buffer-size-exceeded") overflow = true;
    },
  });
  let sizeBytes = 0;
  for await (const bytes of piecesOf(body, guard)) {
    sizeBytes += bytes.byteLength;
    if (sizeBytes > limits.maxResponseBytes) {
      throw new EndpointError("too-large", `the response passes ${limits.maxResponseBytes} bytes`);
    }
    parser.feed(decode(decoder, bytes));
    yield* events.splice(0);
    if (overflow) throw new EndpointError("too-large", `one event passes ${limits.maxEventChars} characters`);
  }
}

function decode(decoder: TextDecoder, bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes, { stream: true });
  } catch (cause) {
    throw new EndpointError("malformed-chunk", "the stream is not UTF-8", { cause });
  }
}

async function* piecesOf(
  body: ReadableStream<Uint8Array>,
  guard: <T>(read: Promise<T>) => Promise<T>,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  let whole = false;
  try {
    for (;;) {
      const { done, value } = await guard(reader.read());
      if (done) break;
      yield value;
    }
    whole = true;
  } catch (cause) {
    // A limit or the caller ended it, and says so itself.
    if (cause instanceof EndpointError) throw cause;
    throw new EndpointError("cut", "the connection broke in the middle of the stream", { cause });
  } finally {
    // Left early: the rest is not wanted, and the connection with it. It may have failed already.
    if (!whole) await reader.cancel().catch(() => {});
  }
}
