import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { RuntimeError } from "../../core/errors.ts";

/**
 * Keeps a folder to one process of this machine. The lock is a Unix socket without a file (unix(7), "abstract"), so
 * the kernel lets go of it with the process, however that ends.
 *
 * @returns lets go of it.
 * @throws RuntimeError "invalid-configuration" if another holds it.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const digest = createHash("sha256")
    .update(await realpath(folder))
    .digest("hex");
  const server = createServer((socket) => socket.destroy());
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const taken = cause.code === "EADDRINUSE";
      reject(
        new RuntimeError(taken ? "invalid-configuration" : "output-failed", {
          part: "outbox",
          problem: taken ? `${folder} is in use by another session` : `${folder} cannot be locked`,
          ...(taken ? { remedy: "Give each session an outbox folder of its own" } : {}),
          cause,
        }),
      );
    });
    server.listen(`\0microturn-outbox-${digest}`, resolve);
  });
  return () => new Promise((resolve) => server.close(() => resolve()));
}
