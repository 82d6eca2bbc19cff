import { z } from "zod";

const path = z.string().min(1).optional();

/** The background reasoner: where it is, and what may leave the device for it. */
export const reasonerSchema = z
  .strictObject({
    link: z
      .string()
      .regex(/^(none|in-process|mqtts?:\/\/\S+)$/, "none, in-process, mqtt://HOST:PORT or mqtts://HOST:PORT")
      .refine((link) => !link.includes("@"), "no user or password here: they stand in the environment")
      .default("none")
      .describe("mqtts://HOST:PORT, mqtt://HOST:PORT, in-process for a worker in this very process, or none"),
    device: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 letters, digits, - and _")
      .optional()
      .describe("the device's name at the broker; MICROTURN_BROKER_USER if absent"),
    ca: path.describe("PEM file: who may have signed the broker's certificate"),
    certificate: path.describe("PEM file: what the device shows of itself"),
    key: path.describe("PEM file: the key of that certificate"),
    deadlineSeconds: z
      .number()
      .min(1)
      .max(86_400)
      .default(120)
      .describe("a task without a result by then has failed"),
    staleSeconds: z
      .number()
      .positive()
      .default(10)
      .describe("what was said longer ago comes to the model marked as late"),
    share: z
      .strictObject({
        transcript: z.boolean().default(false).describe("what was typed, said and heard"),
        stills: z.boolean().default(false).describe("the newest picture of the camera"),
      })
      .prefault({})
      .describe("what leaves the device with a task, beside its text, the time and the state of devices"),
    homeAssistant: z
      .boolean()
      .default(false)
      .describe("the broker's Home Assistant and dashboards are told how the session is doing, in numbers"),
    outbox: z
      .strictObject({
        folder: path.describe("absent: microturn/outbox/DEVICE in XDG_STATE_HOME or ~/.local/state"),
        maxMegabytes: z.number().min(2).max(100_000).default(16).describe("what does not fit is refused"),
        maxAgeSeconds: z.number().min(1).default(86_400).describe("what is older is dropped"),
        fsync: z
          .enum(["record", "interval", "never"])
          .default("record")
          .describe(
            "record: survives a loss of power; interval: all but the last second; never: crashes only",
          ),
      })
      .prefault({})
      .describe("tasks that are open, on disk: they outlive the process"),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    path: ["certificate"],
    message: "certificate and key go together",
  })
  .describe("the background reasoner; the broker's password stands in MICROTURN_BROKER_PASSWORD");

export type ReasonerProfile = z.infer<typeof reasonerSchema>;
