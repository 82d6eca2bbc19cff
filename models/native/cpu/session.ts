import { availableParallelism } from "node:os";
import type { InferenceSession } from "onnxruntime-node";

/** Below this a step is a few milliseconds on one thread, and a second one costs more in waiting than it gives. */
const ONE_THREAD_BYTES = 64 * 2 ** 20;
const MAX_THREADS = 4;

/**
 * How onnxruntime runs a graph: on few threads, because those it has wait by spinning and the machine has a camera and a
 * voice to serve too.
 *
 * @param sizeBytes Of the encoded graph, weights included.
 */
export function sessionOptions(sizeBytes: number): InferenceSession.SessionOptions {
  const threads = sizeBytes < ONE_THREAD_BYTES ? 1 : Math.min(MAX_THREADS, availableParallelism());
  return {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    // Warnings about fused operators are of no use to the person who runs a session.
    logSeverityLevel: 3,
  };
}
