import type { VideoFrame } from "../../core/micro-turn.ts";
import type { SessionSnapshot } from "../../core/reasoner.ts";
import type { ContextSnapshot } from "../protocol/context.ts";
import { cleanText } from "../protocol/fields.ts";
import { LIMITS } from "../protocol/limits.ts";

/**
 * A picture as JPEG of at most `maxBytes`, with the size it was brought to.
 * Rejects if that cannot be done.
 */
export type EncodeStill = (
  frame: VideoFrame,
  maxBytes: number,
) => Promise<{ jpeg: Uint8Array; width: number; height: number }>;

/** Base64 makes four characters of three bytes. */
const STILL_BYTES = Math.floor(LIMITS.stillChars / 4) * 3;

/**
 * The snapshot as the protocol carries it: cut to its bounds, the newest kept.
 * @param encodeStill null: no picture is sent.
 */
export async function contextOf(
  snapshot: SessionSnapshot,
  encodeStill: EncodeStill | null,
): Promise<ContextSnapshot> {
  const { chars, entries } = LIMITS;
  const stills = encodeStill ? snapshot.stills.slice(-entries.stills) : [];
  return {
    v: 1,
    elapsedMs: Math.max(0, snapshot.elapsedMs),
    transcript: snapshot.transcript
      .slice(-entries.transcript)
      .map(({ text, timeMs, ...rest }) => ({
        ...rest,
        timeMs: Math.max(0, timeMs),
        text: cleanText(text, chars.transcriptEntry),
      }))
      .filter(({ text }) => text !== ""),
    counts: snapshot.counts.slice(-entries.counts).map(({ name, value }) => ({
      name: cleanText(name, chars.label) || "count",
      value,
    })),
    devices: snapshot.devices.slice(-entries.devices).map(({ device, state }) => ({
      device: cleanText(device, chars.label) || "device",
      state,
    })),
    stills: await Promise.all(
      stills.map(async (frame) => {
        const { jpeg, width, height } = await encodeStill!(frame, STILL_BYTES);
        return {
          captureMs: Math.max(0, frame.captureMs),
          width,
          height,
          jpeg: Buffer.from(jpeg).toString("base64"),
        };
      }),
    ),
  };
}
