import { z } from "zod";

/** File -> size and digest. */
export const lockedFilesSchema = z.record(
  z.string(),
  z.strictObject({ sizeBytes: z.int().min(0), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);
