import { z } from "zod";

const command = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe("program and arguments in place of the usual ones; {NAME}s are filled in");

const soundRate = z.number().int().min(8000).max(192_000);
const channels = z.number().int().min(1).max(32);

/** How live cameras, microphones and speakers are used. Files and `none` need none of it. */
export const devicesSchema = z
  .strictObject({
    camera: z
      .strictObject({
        width: z.number().int().min(16).max(8192).default(640).describe("wanted of the camera, pixels"),
        height: z.number().int().min(16).max(8192).default(480).describe("wanted of the camera, pixels"),
        framesPerSecond: z.number().min(1).max(240).default(15).describe("wanted of the camera"),
        rotate: z
          .union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)])
          .default(0)
          .describe("degrees clockwise that the picture is turned by"),
        mirror: z.boolean().default(false).describe("left and right exchanged, after turning"),
        command: command.describe(
          "writes rgb24 pictures of {width} x {height} to stdout; {device} and {rate} are known",
        ),
      })
      .prefault({}),
    microphone: z
      .strictObject({
        sampleRateHz: soundRate.optional().describe("taken from the device; the model's own rate if absent"),
        channels: channels.default(1).describe("taken from the device and mixed to mono"),
        latencyMs: z
          .number()
          .min(0)
          .max(1000)
          .default(0)
          .describe("how long sound is under way from the microphone, beside the 10 ms of a chunk"),
        command: command.describe(
          "writes 16-bit little-endian PCM to stdout; {device}, {rate} and {channels} are known",
        ),
      })
      .prefault({}),
    speaker: z
      .strictObject({
        sampleRateHz: soundRate.default(48_000).describe("given to the device"),
        channels: channels.default(1).describe("given to the device, all alike"),
        bufferMs: z
          .number()
          .min(10)
          .max(200)
          .default(25)
          .describe("sound that is under way: a flush is silent after this and 20 ms; too little crackles"),
        command: command.describe(
          "plays 16-bit little-endian PCM from stdin; {device}, {rate}, {channels} and {bufferMs} are known",
        ),
      })
      .prefault({}),
  })
  .describe("live cameras, microphones and speakers");
