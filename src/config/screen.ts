import { z } from "zod";

/** The local page that shows a session. */
export const screenSchema = z
  .strictObject({
    address: z.string().default("none").describe("HOST:PORT, as 127.0.0.1:8420, or none"),
    picture: z.boolean().default(true).describe("false: the page does not show the camera's picture"),
  })
  .describe(
    "a local page with captions and state; any address but loopback wants a token, in MICROTURN_SCREEN_TOKEN",
  );
