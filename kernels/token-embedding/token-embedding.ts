import { RuntimeError } from "../../src/core/errors.ts";
import { type BufferView, uploadBuffer } from "../../src/gpu/buffers.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { bind, createPipeline } from "../../src/gpu/pipeline.ts";
import { type Dispatch, dispatch } from "../../src/gpu/plan.ts";
import type { Matrix } from "../matrix.ts";

/** One token of the sum: where it stands, and where its table begins. */
export interface EmbeddedToken {
  /** Index into the tokens. Below 0 there, it adds nothing. */
  slot: number;
  /** Row of the table at which this token's table begins. */
  firstRow: number;
  /**
   * A token that holds two, (second + 1) · radix + first: digit 0 is the first, digit 1 the second, which may be -1 and then
   * adds nothing. Default: the token is its row.
   */
  demux?: { radix: number; digit: 0 | 1 };
}

export interface TokenEmbeddingSpec {
  label: string;
  /** (rows, cols), f32 or f16: the tokens' tables, one below the other. */
  table: Matrix;
  entries: readonly EmbeddedToken[];
  /** i32, indexed by the entries' slots. A token must lie within its table. */
  tokens: BufferView;
  /** (rows, cols) f32 that the sum is added to. Default: zeros. */
  base?: BufferView;
  /** (rows, cols) f32, written: every row has the same tokens and its own base. */
  out: BufferView;
  /** See kernels/step.ts. */
  step: BufferView;
  workgroupSize?: number;
}

const BINDINGS = ["read", "read", "read", "read", "readWrite", "uniform", "uniform"] as const;

/**
 * Prepares the sum of several tokens' embeddings: a dispatch for each part of the table.
 *
 * @throws RuntimeError "invalid-argument" if the table has another format, "shape-mismatch" if a buffer cannot hold one row,
 *         "gpu-compile" if the shader is refused.
 */
export async function createTokenEmbedding(gpu: Gpu, spec: TokenEmbeddingSpec): Promise<Dispatch[]> {
  const { label, table, entries, out, base } = spec;
  const workgroupSize = spec.workgroupSize ?? 64;
  if (table.format !== "f32" && table.format !== "f16") {
    const problem = `the table is held in ${table.format}, expected f32 or f16`;
    throw new RuntimeError("invalid-argument", { part: label, problem });
  }
  for (const [name, view] of Object.entries({ out, ...(base ? { base } : {}) })) {
    if (view.sizeBytes >= table.cols * 4) continue;
    const problem = `${name} holds ${view.sizeBytes / 4} elements, expected rows of ${table.cols}`;
    throw new RuntimeError("shape-mismatch", { part: label, problem });
  }
  const pipeline = await createPipeline(gpu, {
    label: `token-embedding ${table.format}`,
    shader: new URL("./token-embedding.wgsl", import.meta.url),
    entryPoint: `${table.format}_table`,
    bindings: BINDINGS,
    constants: { workgroup_size: workgroupSize },
  });
  const words = table.cols / 4;
  const list = uploadBuffer(
    gpu,
    { label: `${label} entries` },
    Uint32Array.from(
      entries.flatMap(({ slot, firstRow, demux }) => [slot, firstRow, demux?.radix ?? 0, demux?.digit ?? 0]),
    ),
  );
  return table.parts.map(({ firstRow, rows, weights }, i) => {
    const isFirst = i === 0;
    const params = Uint32Array.of(
      words,
      entries.length,
      firstRow,
      rows,
      isFirst && base ? 1 : 0,
      isFirst ? 0 : 1,
      0,
      0,
    );
    const bindGroup = bind(gpu, pipeline, [
      spec.tokens,
      list,
      weights,
      base ?? list,
      out,
      uploadBuffer(gpu, { label: `${label} params`, role: "uniform" }, params),
      spec.step,
    ]);
    return dispatch(label, pipeline, bindGroup, (nRows) => [Math.ceil(words / workgroupSize), nRows, 1]);
  });
}
