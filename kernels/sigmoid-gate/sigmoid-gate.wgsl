// A residual connection behind a gate, and how far that gate is open.
//
//   x[r, c] += gate[r, c] * update[r, c],   gate[r, c] = 1 / (1 + exp(-(logit[r, c] + bias)))
//   opening[place, r] = mean over c of gate[r, c]
//
//   x, update, logit (rows, cols) f32, row-major.  opening (places, row_stride) f32.  Dispatch (rows, 1, 1).
//
// The logits are those of a product that went before; the whole of this is one reading of three rows, so one workgroup
// takes a row and sums the gates in a tree.

override workgroup_size: u32 = 64; // a power of two: the tree sum halves it

struct Params { cols: u32, bias: f32, place: u32, row_stride: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> logit: array<f32>;
@group(0) @binding(1) var<storage, read> update: array<f32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> opening: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;
@group(0) @binding(5) var<uniform> step: Step;

var<workgroup> partial: array<f32, workgroup_size>;

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  if (group.x >= step.rows) { return; }
  let start = group.x * params.cols;
  var total = 0.0;
  for (var c = local; c < params.cols; c += workgroup_size) {
    let at = start + c;
    // Beyond 80 the quotient is zero to the last bit that counts, and exp stays finite. Not min(): what is no number
    // stays none.
    let power = -(logit[at] + params.bias);
    let gate = 1.0 / (1.0 + exp(select(power, 80.0, power > 80.0)));
    x[at] += gate * update[at];
    total += gate;
  }
  partial[local] = total;
  for (var half = workgroup_size / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { partial[local] += partial[local + half]; }
  }
  if (local == 0u) { opening[params.place * params.row_stride + group.x] = partial[0] / f32(params.cols); }
}
