/** Stable error codes. A caller may switch on them; the message is for people. */
export type ErrorCode =
  | "invalid-argument"
  | "shape-mismatch"
  | "invalid-configuration"
  | "invalid-checkpoint"
  | "invalid-media"
  | "missing-file"
  | "missing-program"
  | "device-unavailable"
  | "gpu-unavailable"
  | "gpu-compile"
  | "gpu-device-lost"
  | "gpu-out-of-memory"
  | "kernel-mismatch"
  | "output-failed"
  | "endpoint-failed"
  | "queue-full"
  | "link-down"
  | "link-busy"
  | "link-timeout"
  | "link-refused"
  | "internal";

/** sysexits: what the process returns for each kind of failure. */
export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  unavailable: 69,
  temporary: 75,
  configuration: 78,
} as const;

const EXIT_BY_CODE: Record<ErrorCode, number> = {
  "invalid-argument": EXIT.usage,
  "shape-mismatch": EXIT.failure,
  "invalid-configuration": EXIT.configuration,
  "invalid-checkpoint": EXIT.configuration,
  "invalid-media": EXIT.unavailable,
  "missing-file": EXIT.unavailable,
  "missing-program": EXIT.unavailable,
  "device-unavailable": EXIT.unavailable,
  "gpu-unavailable": EXIT.unavailable,
  "gpu-compile": EXIT.failure,
  "gpu-device-lost": EXIT.temporary,
  "gpu-out-of-memory": EXIT.temporary,
  "kernel-mismatch": EXIT.failure,
  "output-failed": EXIT.temporary,
  "endpoint-failed": EXIT.temporary,
  "queue-full": EXIT.temporary,
  "link-down": EXIT.temporary,
  "link-busy": EXIT.temporary,
  "link-timeout": EXIT.temporary,
  "link-refused": EXIT.unavailable,
  internal: EXIT.failure,
};

export interface Fault {
  /** The part that found the fault: "rms-norm", "checkpoint", "file camera". */
  part: string;
  /** What is wrong, in one clause: "weight holds 8 elements, expected 4". */
  problem: string;
  /** What the person can do about it, as an imperative sentence. */
  remedy?: string;
  cause?: unknown;
}

/** The one error class: `part: problem. remedy`, with a stable `code`. */
export class RuntimeError extends Error {
  readonly code: ErrorCode;
  readonly part: string;
  /** What is wrong, without the remedy. */
  readonly problem: string;

  constructor(code: ErrorCode, fault: Fault) {
    const remedy = fault.remedy ? `. ${fault.remedy}` : "";
    super(`${fault.part}: ${fault.problem}${remedy}`, { cause: fault.cause });
    this.name = "RuntimeError";
    this.code = code;
    this.part = fault.part;
    this.problem = fault.problem;
  }

  get exitCode(): number {
    return EXIT_BY_CODE[this.code];
  }
}

/** Throws "shape-mismatch" unless `actual` equals `expected`. */
export function expectLength(part: string, name: string, actual: number, expected: number): void {
  if (actual !== expected) {
    throw new RuntimeError("shape-mismatch", {
      part,
      problem: `${name} holds ${actual} elements, expected ${expected}`,
    });
  }
}

/** What a thrown value says for itself. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
