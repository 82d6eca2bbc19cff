import { parseInvocation } from "../../src/cli/command.ts";
import { findCommand } from "../../src/cli/commands.ts";
import { serve } from "../../src/cli/serve.ts";
import { CapturedIo } from "./io.ts";

/** Runs the command until `during`, which is told of the server's URL, is done. */
export async function serving(
  args: readonly string[],
  during: (url: string) => Promise<void>,
  environment: Record<string, string> = {},
): Promise<{ io: CapturedIo; status: number }> {
  const io = new CapturedIo();
  const { command, rest } = findCommand(["serve", "--address", "127.0.0.1:0", ...args]);
  const status = serve(parseInvocation(command, rest, io), environment);
  let url: RegExpExecArray | null = null;
  while (url === null) {
    await Promise.race([status, new Promise((resolve) => setTimeout(resolve, 5))]);
    url = /http:\/\/127\.0\.0\.1:\d+/.exec(io.stdout + io.stderr);
  }
  await during(url[0]);
  io.interrupt();
  return { io, status: await status };
}
