import { ROW_KIND, type Row, type Turn } from "../../../kernels/step.ts";
import type { RuntimeError } from "../../../src/core/errors.ts";
import { stderrLog } from "../../../src/core/log.ts";
import type { Gpu, GpuOptions } from "../../../src/gpu/device.ts";
import { buildOnDevice, isDeviceLoss, rebuildAfterLoss } from "../../../src/gpu/device-loss.ts";
import { checkRequested, KernelChecker } from "../../../src/gpu/kernel-check.ts";
import { KernelTimes, type KernelTimesTicket, kernelTimesLine } from "../../../src/gpu/kernel-times.ts";
import type { DispatchTarget } from "../../../src/gpu/plan.ts";
import { Readback, type ReadbackTicket } from "../../../src/gpu/readback.ts";
import type { BackendOptions, InputBlock, NativeBackend } from "../backend.ts";
import { pcmLength, SAID_SLOT, SLOTS_PER_TURN, videoLength } from "../config.ts";
import { checkBlock, type PlannedToken, planInput, planSaid, type TokenCounts } from "../sequence.ts";
import { History } from "./history.ts";
import { type InputRun, Network } from "./network.ts";
import { uploadWeights } from "./weights.ts";

/** A device with the network built on it. Replaced as a whole when the device is lost. */
interface Engine {
  gpu: Gpu;
  network: Network;
  readback: Readback;
  /** With DEBUG=2. */
  times: KernelTimes | null;
  /** With CHECK=1. */
  checker: KernelChecker | null;
}

/** How a session is run, beside the device it runs on. */
export interface GpuSessionOptions extends GpuOptions {
  /** Compares every kernel with its reference and stops at the first that is wrong. Default: whether CHECK=1 is set. */
  check?: boolean;
}

/** What was submitted and is to be read. */
interface Submitted {
  block: ReadbackTicket;
  times: KernelTimesTicket | null;
}

/** One answer in so many is timed: it takes several times as long, on a software adapter seconds. */
const TIMED_EVERY = 25;

/**
 * The network on a GPU, in the calling thread: one command buffer and one read-back per micro-turn. While a read-back is
 * pending the binding polls the event loop, so a program uses `createGpuBackend`, which runs this in a worker.
 */
export class GpuSession implements NativeBackend {
  readonly kind = "gpu";
  readonly #options: BackendOptions;
  readonly #gpuOptions: GpuSessionOptions;
  readonly #counts: TokenCounts = { told: 0, said: 0 };
  readonly #history: History;
  #engine: Engine;
  /** Counted where some are timed. */
  #answers = 0;

  private constructor(options: BackendOptions, gpuOptions: GpuSessionOptions, engine: Engine) {
    this.#options = options;
    this.#gpuOptions = gpuOptions;
    this.#history = new History(options.checkpoint.config);
    this.#engine = engine;
  }

  /**
   * Opens a device, builds everything on it and runs a first micro-turn that is forgotten again.
   *
   * @throws RuntimeError "gpu-unavailable", "gpu-compile" or "gpu-out-of-memory"; "kernel-mismatch" where kernels are checked.
   */
  static async create(options: BackendOptions, gpuOptions: GpuSessionOptions = {}): Promise<GpuSession> {
    const session = new GpuSession(options, gpuOptions, await buildEngine(options, gpuOptions));
    try {
      await session.#warmUp();
    } catch (error) {
      session.#engine.gpu.close();
      throw error;
    }
    return session;
  }

  get adapter(): string {
    return this.#engine.gpu.adapter.name;
  }

  /** The device at hand: another one after a loss. For tests and measurements. */
  get gpu(): Gpu {
    return this.#engine.gpu;
  }

  get network(): Network {
    return this.#engine.network;
  }

  async step(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    const { config } = this.#options.checkpoint;
    for (const block of blocks) checkBlock(config, block);
    const last = blocks.at(-1);
    if (!last) return [];
    try {
      return await this.#run(blocks);
    } catch (error) {
      if (!isDeviceLoss(error)) throw error;
      await this.#rebuild(error);
      return this.#run(blocks);
    }
  }

  async reset(): Promise<void> {
    this.#counts.told = 0;
    this.#counts.said = 0;
    this.#history.clear();
    this.#engine.network.reset();
  }

  async close(): Promise<void> {
    const { gpu, checker } = this.#engine;
    if (checker) stderrLog.write("info", "kernel check", checker.summary);
    gpu.close();
  }

  /** Takes in `blocks` and speaks for the last. Nothing of the session is changed on the host unless it succeeds. */
  async #run(blocks: readonly InputBlock[]): Promise<readonly number[]> {
    const before = { ...this.#counts };
    try {
      for (const block of blocks.slice(0, -1)) await this.#listen(block);
      const last = blocks.at(-1)!;
      const tokens = await this.#speak(last);
      for (const block of blocks.slice(0, -1)) this.#history.add(block, []);
      this.#history.add(last, tokens.slice(0, -1));
      return tokens;
    } catch (error) {
      Object.assign(this.#counts, before);
      throw error;
    }
  }

  /** Reads a block in without an answer. */
  async #listen(block: InputBlock): Promise<void> {
    await this.#submit(this.#planBlock(block), block, false);
    this.#counts.told += block.told.length;
  }

  /** Reads a block in and answers: the output block, its closing token included. */
  async #speak(block: InputBlock): Promise<readonly number[]> {
    const submitted = (await this.#submit(this.#planBlock(block), block, true))!;
    this.#counts.told += block.told.length;
    const words = new Uint32Array(await submitted.block.read());
    if (submitted.times) {
      const line = kernelTimesLine(await submitted.times.read());
      stderrLog.write("debug", `micro-turn ${block.turn}`, `kernel times, ms: ${line}`);
    }
    const tokens = [...words.subarray(1, 1 + words[0]!)];
    // The token that closes a block is not fed back.
    this.#counts.said += tokens.length - 1;
    return tokens;
  }

  #planBlock(block: InputBlock): Row[] {
    const planned = planInput(this.#options.checkpoint.config, this.#counts, block);
    return planned.map((token) => toRow(token, block.turn));
  }

  /** One write, one command buffer. Returns what is to be read if the model is to speak. */
  async #submit(rows: readonly Row[], block: InputBlock, speaks: boolean): Promise<Submitted | null> {
    const { gpu, network, readback, times, checker } = this.#engine;
    gpu.throwIfFailed();
    network.state.input.write({ rows, turn: this.#turn(block.turn), pcm: block.pcm, video: block.video });
    const run = { rows: rows.length, hears: block.pcm !== null, sees: block.video !== null, speaks };
    if (checker) await this.#check(checker, run, block.turn);
    const encoder = gpu.device.createCommandEncoder({ label: `micro-turn ${block.turn}` });
    const timed =
      speaks && times && !checker && ++this.#answers % TIMED_EVERY === 0 ? times.begin(encoder) : null;
    if (!checker) this.#record(encoder, timed, run);
    const submitted = speaks
      ? { block: readback.record(encoder), times: timed && times!.record(encoder, timed) }
      : null;
    gpu.device.queue.submit([encoder.finish()]);
    return submitted;
  }

  /** The whole run in one pass: the input block and, if the model is to speak, all decode steps. */
  #record(encoder: GPUCommandEncoder, timed: DispatchTarget | null, run: InputRun): void {
    const { network } = this.#engine;
    encoder.clearBuffer(network.state.block.buffer, 0, 4);
    const pass = timed ?? encoder.beginComputePass();
    network.recordInput(pass, run);
    const decodeSteps = run.speaks ? this.#options.checkpoint.config.limits.outputTokensPerMicroTurn - 1 : 0;
    for (let i = 0; i < decodeSteps; i++) network.recordDecodeStep(pass);
    pass.end();
  }

  /** The same run kernel by kernel, each compared with its reference; in a closed block nothing runs. */
  async #check(checker: KernelChecker, run: InputRun, turn: number): Promise<void> {
    const { gpu, network } = this.#engine;
    const { limits, tokens } = this.#options.checkpoint.config;
    const where = `micro-turn ${turn}`;
    const { block } = network.state;
    gpu.device.queue.writeBuffer(block.buffer, block.offset, new Uint32Array(1));
    await network.checkInput(checker, run, where);
    for (let i = 1; run.speaks && i < limits.outputTokensPerMicroTurn; i++) {
      const words = await checker.read(block);
      if (words[words[0]!] === tokens.next) break;
      await network.checkDecodeStep(checker, where);
    }
  }

  #turn(turn: number): Turn {
    const { sampling, checkpoint } = this.#options;
    const { limits, tokens } = checkpoint.config;
    const { layout } = this.#engine.network.state;
    return {
      ...sampling,
      saidPosition: SLOTS_PER_TURN * turn + SAID_SLOT,
      saidCount: this.#counts.said,
      saidStart: layout.saidStart,
      saidCapacity: layout.saidTokens,
      maxTokens: limits.outputTokensPerMicroTurn,
      nextToken: tokens.next,
    };
  }

  /** The first run compiles what a driver compiles late; everything is heard, seen and read in it. */
  async #warmUp(): Promise<void> {
    const { config } = this.#options.checkpoint;
    const told = new Array<number>(config.limits.textTokensPerMicroTurn).fill(config.tokens.typed);
    const pcm = new Float32Array(pcmLength(config));
    const video = new Int8Array(videoLength(config));
    await this.#speak({ turn: 0, pcm, video, told });
    await this.#speak({ turn: 1, pcm: null, video: null, told: [] });
    await this.reset();
  }

  /** Builds everything again on a new device and reads the session's last window in. */
  async #rebuild(loss: RuntimeError): Promise<void> {
    this.#engine.gpu.close();
    await rebuildAfterLoss({ part: "gpu backend", loss, remedy: "Run with --backend cpu" }, async () => {
      this.#engine = await buildEngine(this.#options, this.#gpuOptions);
      await this.#replay();
      return ` with the last ${this.#history.turns.length} micro-turns`;
    });
  }

  async #replay(): Promise<void> {
    const { config } = this.#options.checkpoint;
    const { told, said } = this.#counts;
    const past = this.#history.turns;
    // The rings are filled so that they end where the session's counts stand.
    this.#counts.told = told - past.reduce((n, { block }) => n + block.told.length, 0);
    this.#counts.said = said - past.reduce((n, turn) => n + turn.said.length, 0);
    for (const { block, said: tokens } of past) {
      await this.#listen(block);
      // One by one, as they were fed back: each sees what the ring still held then, and none takes another's slot.
      for (const [i, id] of tokens.entries()) {
        const row = toRow(planSaid(config, this.#counts, block.turn, i, id), block.turn);
        await this.#submit([row], { turn: block.turn, pcm: null, video: null, told: [] }, false);
        this.#counts.said++;
      }
    }
    await this.#engine.gpu.device.queue.onSubmittedWorkDone();
    this.#engine.gpu.throwIfFailed();
  }
}

function buildEngine(options: BackendOptions, gpuOptions: GpuSessionOptions): Promise<Engine> {
  const { checkpoint, weights } = options;
  return buildOnDevice(gpuOptions, async (gpu) => {
    const network = await Network.create(gpu, checkpoint.config, uploadWeights(gpu, checkpoint, weights));
    const readback = new Readback(gpu, network.state.block);
    await gpu.settle();
    const checker = (gpuOptions.check ?? checkRequested) ? new KernelChecker(gpu) : null;
    return { gpu, network, readback, times: KernelTimes.create(gpu), checker };
  });
}

function toRow({ kind, value, position, cacheSlot }: PlannedToken, turn: number): Row {
  return { position, cacheSlot, kind: ROW_KIND[kind], index: kind === "clock" ? turn : value };
}
