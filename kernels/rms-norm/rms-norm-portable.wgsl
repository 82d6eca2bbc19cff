// Root mean square norm of each row, for adapters without subgroups.
//
//   out[r, c] = weight[c] * x[r, c] / sqrt(mean over c of x[r, c]^2 + eps)
//
//   x, out (rows, cols) f32, row-major.  weight (cols) f32.  Dispatch (rows, 1, 1).

override workgroup_size: u32 = 32; // a power of two: the tree sum halves it

struct Params { cols: u32, eps: f32, pad0: u32, pad1: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(4) var<uniform> step: Step;

var<workgroup> partial: array<f32, workgroup_size>;

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  if (group.x >= step.rows) { return; }
  let start = group.x * params.cols;
  var squares = 0.0;
  for (var c = local; c < params.cols; c += workgroup_size) { squares += x[start + c] * x[start + c]; }
  partial[local] = squares;
  for (var half = workgroup_size / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { partial[local] += partial[local + half]; }
  }
  workgroupBarrier();
  let scale = inverseSqrt(partial[0] / f32(params.cols) + params.eps);
  for (var c = local; c < params.cols; c += workgroup_size) {
    out[start + c] = weight[c] * x[start + c] * scale;
  }
}
