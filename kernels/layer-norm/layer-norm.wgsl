// Layer norm of each row, for adapters with subgroups.
//
//   out[r, c] = bias[c] + weight[c] * (x[r, c] - mean) / sqrt(variance + eps)
//   mean and variance over the columns of row r, variance = mean of (x - mean)^2
//
//   x, out (rows, cols) f32, row-major.  weight, bias (cols) f32.  Dispatch (rows, 1, 1).
//
// Every subgroup of the workgroup sums the whole row, so there is no barrier; they share the writing. The squares are
// summed after the mean is known: mean of squares less square of mean would cancel where the mean is large.
enable subgroups;

override workgroup_size: u32 = 32;

struct Params { cols: u32, eps: f32, pad0: u32, pad1: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<uniform> step: Step;

@compute @workgroup_size(workgroup_size)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_size) subgroup_size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  if (group.x >= step.rows) { return; }
  let start = group.x * params.cols;
  var sum = 0.0;
  for (var c = lane; c < params.cols; c += subgroup_size) { sum += x[start + c]; }
  let mean = subgroupAdd(sum) / f32(params.cols);
  var squares = 0.0;
  for (var c = lane; c < params.cols; c += subgroup_size) {
    let centred = x[start + c] - mean;
    squares += centred * centred;
  }
  let scale = inverseSqrt(subgroupAdd(squares) / f32(params.cols) + params.eps);
  for (var c = local; c < params.cols; c += workgroup_size) {
    out[start + c] = bias[c] + weight[c] * (x[start + c] - mean) * scale;
  }
}
