export type LogLevel = "error" | "warning" | "info" | "debug";

/**
 * Messages for the operator. They carry sizes, times and names, never speech, pictures or typed text.
 * Debug messages appear with DEBUG=1 (late steps), 2 (also kernel times), 3 (also shapes), 4 (also WGSL).
 */
export interface Log {
  write(level: LogLevel, part: string, message: string): void;
}

export const debugLevel: number = Number(process.env.DEBUG ?? 0) || 0;

/** Lines on stderr: stdout belongs to the data. */
export const stderrLog: Log = {
  write(level, part, message) {
    if (level === "debug" && debugLevel < 1) return;
    process.stderr.write(`${level === "info" ? "" : `${level}: `}${part}: ${message}\n`);
  },
};
