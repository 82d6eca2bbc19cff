import { readFile } from "node:fs/promises";
import { RuntimeError } from "../core/errors.ts";
import { debugLevel, stderrLog } from "../core/log.ts";
import type { BufferView } from "./buffers.ts";
import type { Gpu } from "./device.ts";

/** How a kernel uses a binding: `var<storage, read>`, `var<storage, read_write>`, `var<uniform>`. */
export type Access = "read" | "readWrite" | "uniform";

export interface PipelineSpec {
  /** Names the pipeline in messages and captures: "matmul f16 x4". */
  label: string;
  /** `new URL("./op.wgsl", import.meta.url)`. */
  shader: URL;
  /** `@binding(i)` of group 0, in order. */
  bindings: readonly Access[];
  /** Values for the shader's override constants. */
  constants?: Readonly<Record<string, number>>;
  entryPoint?: string;
}

/** A compiled kernel. Pipelines with the same list of accesses share bind groups. */
export interface Pipeline {
  readonly label: string;
  readonly bindings: readonly Access[];
  readonly handle: GPUComputePipeline;
}

interface Caches {
  pipelines: Map<string, Promise<Pipeline>>;
  layouts: Map<string, GPUBindGroupLayout>;
}

const cachesByDevice = new WeakMap<GPUDevice, Caches>();

function cachesOf(gpu: Gpu): Caches {
  let caches = cachesByDevice.get(gpu.device);
  if (!caches) {
    caches = { pipelines: new Map(), layouts: new Map() };
    cachesByDevice.set(gpu.device, caches);
  }
  return caches;
}

/**
 * Compiles a kernel. The same shader with the same constants is compiled once per device.
 *
 * @throws RuntimeError "gpu-compile" with the compiler's messages (file, line, column) if the shader is not valid,
 *         "missing-file" if it cannot be read.
 */
export function createPipeline(gpu: Gpu, spec: PipelineSpec): Promise<Pipeline> {
  const { pipelines } = cachesOf(gpu);
  const key = JSON.stringify([spec.shader.href, spec.entryPoint, spec.bindings, spec.constants]);
  let pipeline = pipelines.get(key);
  if (!pipeline) {
    pipeline = compile(gpu, spec);
    pipelines.set(key, pipeline);
  }
  return pipeline;
}

async function compile(gpu: Gpu, spec: PipelineSpec): Promise<Pipeline> {
  const file = spec.shader.pathname.split("/").at(-1) ?? spec.label;
  const code = await readShader(spec);
  if (debugLevel >= 3) {
    const shapes = JSON.stringify(spec.constants ?? {});
    stderrLog.write("debug", spec.label, debugLevel >= 4 ? `${shapes}\n${code}` : shapes);
  }
  gpu.device.pushErrorScope("validation");
  const module = gpu.device.createShaderModule({ label: file, code });
  const scope = gpu.device.popErrorScope();
  const [info] = await Promise.all([module.getCompilationInfo(), scope]);
  const errors = info.messages.filter((message) => message.type === "error");
  if (errors.length > 0) {
    const lines = errors.map((e) => `${file}:${e.lineNum}:${e.linePos} ${e.message}`);
    throw new RuntimeError("gpu-compile", { part: spec.label, problem: lines.join("; ") });
  }
  try {
    const handle = await gpu.device.createComputePipelineAsync({
      label: spec.label,
      layout: gpu.device.createPipelineLayout({
        label: spec.label,
        bindGroupLayouts: [layoutOf(gpu, spec.bindings)],
      }),
      compute: { module, entryPoint: spec.entryPoint ?? "main", constants: { ...spec.constants } },
    });
    gpu.created.pipelines++;
    return { label: spec.label, bindings: spec.bindings, handle };
  } catch (cause) {
    gpu.throwIfFailed();
    const problem = `${file}: ${cause instanceof Error ? cause.message.trim() : String(cause)}`;
    throw new RuntimeError("gpu-compile", { part: spec.label, problem, cause });
  }
}

async function readShader(spec: PipelineSpec): Promise<string> {
  try {
    return await readFile(spec.shader, "utf8");
  } catch (cause) {
    throw new RuntimeError("missing-file", {
      part: spec.label,
      problem: `the shader ${spec.shader.pathname} cannot be read`,
      cause,
    });
  }
}

function layoutOf(gpu: Gpu, bindings: readonly Access[]): GPUBindGroupLayout {
  const { layouts } = cachesOf(gpu);
  const key = bindings.join();
  let layout = layouts.get(key);
  if (!layout) {
    const types = { read: "read-only-storage", readWrite: "storage", uniform: "uniform" } as const;
    layout = gpu.device.createBindGroupLayout({
      label: key,
      entries: bindings.map((access, binding) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: types[access] },
      })),
    });
    layouts.set(key, layout);
  }
  return layout;
}

/** Binds `views` to a pipeline's bindings, in order. Made once; the views' buffers stay as they are. */
export function bind(gpu: Gpu, pipeline: Pipeline, views: readonly BufferView[]): GPUBindGroup {
  if (views.length !== pipeline.bindings.length) {
    throw new RuntimeError("shape-mismatch", {
      part: pipeline.label,
      problem: `${views.length} buffers were bound, expected ${pipeline.bindings.length}`,
    });
  }
  gpu.created.bindGroups++;
  return gpu.check(pipeline.label, () =>
    gpu.device.createBindGroup({
      label: pipeline.label,
      layout: layoutOf(gpu, pipeline.bindings),
      entries: views.map((view, binding) => ({
        binding,
        resource: { buffer: view.buffer, offset: view.offset, size: view.sizeBytes },
      })),
    }),
  );
}
