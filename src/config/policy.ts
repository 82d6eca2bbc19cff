import { z } from "zod";

/** Letters, digits, - and _, as a line to a board has them. */
const name = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,15}$/, "a name of a-z, 0-9, - and _, 16 characters at most");

const bounds = z
  .strictObject({
    min: z.number().min(-1e6),
    max: z.number().max(1e6),
    outside: z
      .enum(["veto", "clip"])
      .default("veto")
      .describe("a value outside: refuse the command, or take the nearer bound"),
  })
  .refine(({ min, max }) => min <= max, "min is greater than max");

/** What the model's actions may do. */
export const policySchema = z
  .strictObject({
    actuators: z
      .record(name, z.record(name, bounds))
      .default({})
      .describe(
        "commands that may move something, and the bounds of each of their arguments; no other is sent",
      ),
  })
  .describe("what actions may do");
