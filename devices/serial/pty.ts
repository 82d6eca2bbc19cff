import { type ChildProcess, spawn } from "node:child_process";
import { lstat, rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import { RuntimeError } from "../../src/core/errors.ts";

/** Bytes that a pty may leave unread before what is written to it is dropped, as a wire does. */
const MAX_UNREAD_BYTES = 4096;

/** The far end of a pseudo-terminal that stands for a serial port. */
export interface Pty {
  /** What was written to the port. */
  readonly output: Readable;
  /** Puts bytes on the port; drops them if nobody reads. */
  write(bytes: Uint8Array): void;
  /** Resolves when the pty is gone. */
  readonly gone: Promise<void>;
  readonly pid: number;
  /** Takes the pty away, as pulling the plug does. */
  kill(): Promise<void>;
}

/**
 * Makes a pseudo-terminal with a link at `path`. Node.js cannot make one itself, so this is a child process, socat.
 * @throws RuntimeError "missing-program" without socat, "device-unavailable" if there can be no link at `path`.
 */
export async function makePty(path: string): Promise<Pty> {
  await clear(path);
  const child = spawn("socat", [`PTY,raw,echo=0,link=${path}`, "STDIO"], { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (complaint.length < 1000) complaint += text;
  });
  // What is written to a pty that is going away is lost with it.
  child.stdin.on("error", () => {});
  const gone = new Promise<void>((resolve) => {
    child.once("close", () => resolve());
    child.once("error", () => resolve());
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) => reject(missing(cause)));
    child.once("close", () => reject(refused(path, complaint)));
  });
  await Promise.race([linkAt(path, child), failed]);
  failed.catch(() => {});
  return {
    output: child.stdout,
    write(bytes) {
      if (child.stdin.writableLength < MAX_UNREAD_BYTES) child.stdin.write(bytes);
    },
    gone,
    pid: child.pid!,
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** Takes away the link of a pty that was killed. socat would take away any file. */
async function clear(path: string): Promise<void> {
  const there = await lstat(path).catch(() => null);
  if (there?.isSymbolicLink()) await rm(path, { force: true });
  else if (there) throw refused(path, "there is a file of that name");
}

async function linkAt(path: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    if (await lstat(path).catch(() => null)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function missing(cause: unknown): RuntimeError {
  const remedy = "Run sh deploy/setup.sh as root, or apt-get install socat";
  return new RuntimeError("missing-program", { part: "pty", problem: "cannot start socat", remedy, cause });
}

function refused(path: string, complaint: string): RuntimeError {
  const problem = complaint.trim().split("\n")[0] || "socat ended";
  return new RuntimeError("device-unavailable", { part: `pty ${path}`, problem });
}
