import {
  type CausalConvShape,
  causalConvReference,
  eluReference,
  leftContext,
} from "../../kernels/causal-conv/causal-conv.reference.ts";
import { createCausalConv } from "../../kernels/causal-conv/causal-conv.ts";
import { convWeights } from "../../kernels/causal-conv/conv-weights.ts";
import { createFrameRows } from "../../kernels/frame-rows.ts";
import { writeBuffer } from "../../src/gpu/buffers.ts";
import { expectClose, gaussian, readBack, run } from "../kernels/harness.ts";
import { benchOnGpu } from "./bench.ts";
import { measureDispatches, report } from "./measure.ts";

/** Layers of the released Mimi encoder: many short rows, some of each, two long ones; and a linear of its transformer. */
const SHAPES: (CausalConvShape & { rows: number })[] = [
  { inChannels: 64, outChannels: 32, taps: 3, stride: 1, dilation: 1, rows: 1920 },
  { inChannels: 128, outChannels: 256, taps: 10, stride: 5, dilation: 1, rows: 480 },
  { inChannels: 512, outChannels: 1024, taps: 16, stride: 8, dilation: 1, rows: 16 },
  { inChannels: 512, outChannels: 2048, taps: 1, stride: 1, dilation: 1, rows: 2 },
];

for (const shape of SHAPES) {
  const { inChannels, outChannels, taps, stride, rows } = shape;
  const title = `causal-conv ${rows} x ${inChannels} -> ${rows / stride} x ${outChannels}, ${taps} taps`;
  benchOnGpu(title, async (gpu) => {
    const context = leftContext(shape);
    const positions = rows / stride;
    const x = createFrameRows(gpu, "x", { channels: inChannels, context, rows });
    const signal = gaussian(1, rows * inChannels);
    const held = new Float32Array((context + rows) * inChannels);
    held.set(signal, context * inChannels);
    writeBuffer(gpu, x.view, held);
    const weight = gaussian(2, outChannels * inChannels * taps, 1 / Math.sqrt(inChannels * taps));
    const bias = gaussian(3, outChannels);
    const activated = createFrameRows(gpu, "activated", {
      channels: outChannels,
      context: 0,
      rows: positions,
    });
    const weights = convWeights("conv", { inChannels, outChannels, taps, weight, bias });
    const conv = await createCausalConv(gpu, { label: "conv", x, weights, stride, activated });
    await run(gpu, [conv], 1);
    const expected = eluReference(causalConvReference(shape, signal, weight, bias));
    expectClose(new Float32Array(await readBack(gpu, activated.view)), expected, { absolute: 1e-4 });
    await report(gpu, title, await measureDispatches(gpu, [conv], 1), {
      bytes: 4 * (held.length + weights.data.length + outChannels + positions * outChannels),
      flops: 2 * positions * weights.data.length,
    });
  });
}
