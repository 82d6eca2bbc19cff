import { z } from "zod";

/** The board on a serial port, which moves and measures. */
export const serialSchema = z
  .strictObject({
    port: z
      .string()
      .default("none")
      .describe("path of the port, best one of /dev/serial/by-id that outlives replugging; fake, or none"),
    baud: z.number().int().min(1200).max(4_000_000).default(115_200),
    heartbeatMs: z
      .number()
      .int()
      .min(100)
      .max(2000)
      .default(500)
      .describe("the board stops, and is taken for lost, when nothing is heard for this long, ms"),
    commandMs: z
      .number()
      .int()
      .min(50)
      .max(10_000)
      .default(1000)
      .describe("how long a command is in force at the longest, from when the model chose it, ms"),
  })
  .describe("a board on a serial port; the commands that it takes are policy.actuators");
