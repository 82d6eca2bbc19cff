// Layer norm of each row, for adapters without subgroups.
//
//   out[r, c] = bias[c] + weight[c] * (x[r, c] - mean) / sqrt(variance + eps)
//   mean and variance over the columns of row r, variance = mean of (x - mean)^2
//
//   x, out (rows, cols) f32, row-major.  weight, bias (cols) f32.  Dispatch (rows, 1, 1).
//
// The squares are summed after the mean is known: mean of squares less square of mean would cancel where the mean is
// large.

override workgroup_size: u32 = 32; // a power of two: the tree sum halves it

struct Params { cols: u32, eps: f32, pad0: u32, pad1: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> partial: array<f32, workgroup_size>;

// The sum of every invocation's `value`. Called by all of a workgroup.
fn sum_of_all(value: f32, local: u32) -> f32 {
  partial[local] = value;
  for (var half = workgroup_size / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { partial[local] += partial[local + half]; }
  }
  workgroupBarrier();
  let sum = partial[0];
  workgroupBarrier(); // or the next sum would overwrite what is still being read
  return sum;
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  if (group.x >= step.rows) { return; }
  let start = group.x * params.cols;
  var sum = 0.0;
  for (var c = local; c < params.cols; c += workgroup_size) { sum += x[start + c]; }
  let mean = sum_of_all(sum, local) / f32(params.cols);
  var squares = 0.0;
  for (var c = local; c < params.cols; c += workgroup_size) {
    let centred = x[start + c] - mean;
    squares += centred * centred;
  }
  let scale = inverseSqrt(sum_of_all(squares, local) / f32(params.cols) + params.eps);
  for (var c = local; c < params.cols; c += workgroup_size) {
    out[start + c] = bias[c] + weight[c] * (x[start + c] - mean) * scale;
  }
}
