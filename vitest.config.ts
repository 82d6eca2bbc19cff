import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    benchmark: { include: ["tests/bench/**/*.bench.ts"] },
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores, and every GPU file starts a driver of its own: more workers only make each other slower.
    maxWorkers: 2,
  },
});
