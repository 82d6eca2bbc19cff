import { create, globals } from "webgpu";
import { RuntimeError } from "../core/errors.ts";
import { debugLevel } from "../core/log.ts";

// Dawn keeps GPUBufferUsage, GPUMapMode and the rest in this object; WebGPU code expects them as globals.
Object.assign(globalThis, globals);

/**
 * The binding. It must stay referenced for as long as the thread lives: once V8 collects it the process crashes,
 * later and elsewhere. A held reference does not keep Node from exiting.
 */
const bindings = new Map<string, GPU>();

function binding(adapterName: string | undefined): GPU {
  // Dawn rounds time stamps to 100 us unless it is told not to.
  const options = debugLevel >= 2 ? ["disable-dawn-features=timestamp_quantization"] : [];
  if (adapterName !== undefined) options.push(`adapter=${adapterName}`);
  const key = options.join();
  let gpu = bindings.get(key);
  if (!gpu) {
    gpu = create(options);
    bindings.set(key, gpu);
  }
  return gpu;
}

/** Optional abilities that kernels have variants for. */
export type GpuFeature = "shader-f16" | "subgroups" | "timestamp-query";

const DEFAULT_FEATURES: readonly GpuFeature[] = [
  "shader-f16",
  "subgroups",
  ...(debugLevel >= 2 ? (["timestamp-query"] as const) : []),
];

/** What the adapter says of itself. */
export interface AdapterDescription {
  /** "llvmpipe: Mesa 25.0.7 (LLVM 15.0.6)". */
  name: string;
  vendor: string;
  /** True for a rasteriser that runs on the processor. */
  isSoftware: boolean;
  /** Invocations per subgroup; the two differ where the driver chooses per pipeline. 0 without subgroups. */
  subgroupMinSize: number;
  subgroupMaxSize: number;
}

export interface GpuOptions {
  /** Hardware is preferred; "software" wants a rasteriser, "hardware" refuses one. Default "any". */
  adapter?: "any" | "hardware" | "software";
  /** Only adapters whose name contains this text. */
  adapterName?: string;
  /** Which of the optional features to use where the adapter has them. Default: shader-f16 and subgroups; with DEBUG=2, timestamp-query. */
  features?: readonly GpuFeature[];
}

/** How many objects a device has made: after warm-up these stand still. */
export interface Created {
  buffers: number;
  pipelines: number;
  bindGroups: number;
}

/**
 * A device, what is known of its adapter, and the errors it reports.
 *
 * WebGPU reports errors late and apart from the call that caused them. `check` ties them to a name and gathers them;
 * `settle` throws the first. A lost device makes every later wait throw "gpu-device-lost".
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
  readonly features: ReadonlySet<GpuFeature>;
  readonly created: Created = { buffers: 0, pipelines: 0, bindGroups: 0 };
  /** Resolves when the device is gone, `close` included. */
  readonly lost: Promise<RuntimeError>;
  #loss: RuntimeError | null = null;
  #fault: RuntimeError | null = null;
  #checks: Promise<void>[] = [];

  constructor(device: GPUDevice, adapter: AdapterDescription, features: ReadonlySet<GpuFeature>) {
    this.device = device;
    this.adapter = adapter;
    this.features = features;
    this.lost = device.lost.then((info) => {
      this.#loss = new RuntimeError("gpu-device-lost", {
        part: "gpu",
        problem: `the device was lost (${info.reason}): ${info.message}`,
        remedy: "Open a new device and build everything again",
      });
      return this.#loss;
    });
    device.addEventListener("uncapturederror", (event) => {
      this.#fault ??= toFault("gpu", (event as GPUUncapturedErrorEvent).error);
    });
  }

  /** Runs `make` and remembers what the device has to say about it under the name `part`. */
  check<T>(part: string, make: () => T): T {
    this.device.pushErrorScope("out-of-memory");
    this.device.pushErrorScope("validation");
    let made: T;
    let reports: Promise<GPUError | null>[];
    try {
      made = make();
    } finally {
      // Both scopes are popped in the turn that pushed them, or another caller's errors would land here.
      reports = [this.device.popErrorScope(), this.device.popErrorScope()];
    }
    const settled = Promise.all(reports).then(
      (errors) => {
        for (const error of errors) if (error) this.#fault ??= toFault(part, error);
      },
      // A lost device rejects the pop; the loss itself is reported by `throwIfFailed`.
      () => undefined,
    );
    this.#checks.push(settled);
    return made;
  }

  /** Waits for what the device has to say about everything made so far. @throws the first fault. */
  async settle(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
    this.throwIfFailed();
  }

  /** @throws "gpu-device-lost" after a loss, else the first fault that the device has reported. */
  throwIfFailed(): void {
    if (this.#loss) throw this.#loss;
    if (this.#fault) throw this.#fault;
  }

  close(): void {
    this.device.destroy();
  }
}

function toFault(part: string, error: GPUError): RuntimeError {
  const outOfMemory = error instanceof GPUOutOfMemoryError;
  return new RuntimeError(outOfMemory ? "gpu-out-of-memory" : "internal", {
    part,
    problem:
      error.message.trim() || (outOfMemory ? "the device has no memory left" : "the device refused it"),
    ...(outOfMemory ? { remedy: "Use a smaller model, another weight format, or the CPU backend" } : {}),
    cause: error,
  });
}

/**
 * Opens a device with the adapter's own limits.
 *
 * @throws RuntimeError "gpu-unavailable" if no adapter fits or the driver refuses a device.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const wanted = options.adapter ?? "any";
  const adapter = await requestAdapter(wanted, options.adapterName);
  const info = adapter.info;
  const wishes = options.features ?? DEFAULT_FEATURES;
  const features = new Set(wishes.filter((feature) => adapter.features.has(feature)));
  const { limits } = adapter;
  try {
    const device = await adapter.requestDevice({
      label: "microturn",
      requiredFeatures: [...features],
      requiredLimits: {
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxBufferSize: limits.maxBufferSize,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
        maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      },
    });
    const hasSubgroups = features.has("subgroups");
    return new Gpu(
      device,
      {
        name: info.description || info.device || info.vendor || "unnamed adapter",
        vendor: info.vendor,
        isSoftware: info.isFallbackAdapter,
        subgroupMinSize: hasSubgroups ? (info.subgroupMinSize ?? 0) : 0,
        subgroupMaxSize: hasSubgroups ? (info.subgroupMaxSize ?? 0) : 0,
      },
      features,
    );
  } catch (cause) {
    throw new RuntimeError("gpu-unavailable", {
      part: "gpu",
      problem: `${info.description || "the adapter"} gave no device: ${String(cause)}`,
      remedy: "Update the driver or run with --backend cpu",
      cause,
    });
  }
}

async function requestAdapter(wanted: string, name: string | undefined): Promise<GPUAdapter> {
  let adapter: GPUAdapter | null = null;
  let cause: unknown;
  try {
    adapter = await binding(name).requestAdapter({
      powerPreference: "high-performance",
      forceFallbackAdapter: wanted === "software",
    });
  } catch (error) {
    // Dawn throws here when no Vulkan loader or no adapter of that name is present.
    cause = error;
  }
  const refused = adapter !== null && wanted === "hardware" && adapter.info.isFallbackAdapter;
  if (adapter && !refused) return adapter;
  const kind = name === undefined ? (wanted === "any" ? "" : `${wanted} `) : `"${name}" `;
  throw new RuntimeError("gpu-unavailable", {
    part: "gpu",
    problem: refused ? "only a software adapter was found" : `no ${kind}Vulkan adapter was found`,
    remedy: "Install a Vulkan driver (deploy/setup.sh does) or run with --backend cpu",
    cause,
  });
}
