// Gated MLP's inner layer for a few rows of activations, for adapters without subgroups.
//
//   out[r, n] = silu(gate[r, n]) * up[r, n],   silu(g) = g / (1 + exp(-g))
//   gate[r, n] = sum over k of y[r, k] * w[n, k],   up[r, n] = sum over k of y[r, k] * w[out_cols + n, k]
//   y[r, k] = norm[k] * x[r, k] / sqrt(mean over k of x[r, k]^2 + eps)
//
//   x (rows, cols) f32.  w (2 out_cols, cols): entry points f32, f16, q8 and q4.  out (rows, out_cols) f32.  All row-major.
//   A dispatch makes outputs [first_out, first_out + outputs). Their gates and their ups are each a run of rows in a buffer:
//   one and the same, or two where all of w is more than a buffer holds.
//   Dispatch (ceil(outputs / workgroup_size), ceil(rows / row_tile), 1).
//
// An invocation takes one output, two rows of w, and `row_tile` rows of x: no barrier, no workgroup memory.

override workgroup_size: u32 = 32;
override row_tile: u32 = 1; // rows of x, 1 to 8

struct Params {
  cols: u32,
  out_cols: u32,
  eps: f32,
  outputs: u32,
  first_out: u32,
  first_gate: u32, // row of the gates' buffer
  first_up: u32,   // row of the ups'
  pad: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> norm: array<vec4f>; // (cols)
@group(0) @binding(2) var<storage, read> gate_f32: array<vec4f>;
@group(0) @binding(2) var<storage, read> gate_f16: array<vec2u>; // 4 halves
@group(0) @binding(2) var<storage, read> gate_q8: array<u32>;    // 4 signed bytes
@group(0) @binding(2) var<storage, read> gate_q4: array<u32>;    // 8 nibbles: of bytes 0 to 3 the low ones, then the high
@group(0) @binding(3) var<storage, read> gate_scales: array<f32>; // (rows of the buffer, cols / 32) for q8
@group(0) @binding(3) var<storage, read> gate_half_scales: array<u32>; // the same in 2 halves a word, for q4
@group(0) @binding(4) var<storage, read> up_f32: array<vec4f>;
@group(0) @binding(4) var<storage, read> up_f16: array<vec2u>;
@group(0) @binding(4) var<storage, read> up_q8: array<u32>;
@group(0) @binding(4) var<storage, read> up_q4: array<u32>;
@group(0) @binding(5) var<storage, read> up_scales: array<f32>;
@group(0) @binding(5) var<storage, read> up_half_scales: array<u32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;
@group(0) @binding(8) var<uniform> step: Step;

fn halves(bits: vec2u) -> vec4f { return vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y)); }
fn bytes(bits: u32) -> vec4f { return vec4f(unpack4xI8(bits)); }

// Scale `i` of q4.
fn gate_half(i: u32) -> f32 { return unpack2x16float(gate_half_scales[i / 2u])[i % 2u]; }
fn up_half(i: u32) -> f32 { return unpack2x16float(up_half_scales[i / 2u])[i % 2u]; }

// The low nibbles of a word.
fn nibbles(bits: u32) -> vec4f { return vec4f(unpack4xU8(bits & 0x0f0f0f0fu)) - 8.0; }

// Per row of x: its products with the gate's and the up's row of w, and its squares.
struct Sums { products: array<vec2f, 8>, squares: array<f32, 8> }

// Adds the products of vec4 `i` of the gate's and the up's row with that of each row of x.
fn add(sums: ptr<function, Sums>, gate: vec4f, up: vec4f, first_row: u32, i: u32) {
  let scale = norm[i];
  for (var m = 0u; m < row_tile; m++) {
    let value = x[(first_row + m) * (params.cols / 4u) + i];
    (*sums).products[m] += vec2f(dot(gate * scale, value), dot(up * scale, value));
    (*sums).squares[m] += dot(value, value);
  }
}

fn finish(sums: ptr<function, Sums>, first_row: u32, n: u32) {
  for (var m = 0u; m < row_tile; m++) {
    let r = first_row + m;
    if (r < step.rows) {
      let root = inverseSqrt((*sums).squares[m] / f32(params.cols) + params.eps);
      let total = (*sums).products[m] * root;
      // Beyond 80 the quotient is zero to the last bit that counts, and exp stays finite.
      out[r * params.out_cols + params.first_out + n] = total.x / (1.0 + exp(min(-total.x, 80.0))) * total.y;
    }
  }
}

@compute @workgroup_size(workgroup_size)
fn f32_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.outputs) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let gate = (params.first_gate + id.x) * words + i;
    let up = (params.first_up + id.x) * words + i;
    add(&sums, gate_f32[gate], up_f32[up], first_row, i);
  }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn f16_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.outputs) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let gate = (params.first_gate + id.x) * words + i;
    let up = (params.first_up + id.x) * words + i;
    add(&sums, halves(gate_f16[gate]), halves(up_f16[up]), first_row, i);
  }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn q8_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.outputs) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let gate = (params.first_gate + id.x) * words + i;
    let up = (params.first_up + id.x) * words + i;
    // 8 vec4 share a scale.
    let gates = gate_scales[gate / 8u] * bytes(gate_q8[gate]);
    let ups = up_scales[up / 8u] * bytes(up_q8[up]);
    add(&sums, gates, ups, first_row, i);
  }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn q4_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.outputs) { return; }
  let words = params.cols / 8u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let gate = (params.first_gate + id.x) * words + i;
    let up = (params.first_up + id.x) * words + i;
    // 4 words share a scale.
    let gate_scale = gate_half(gate / 4u);
    let up_scale = up_half(up / 4u);
    let gate_bits = gate_q4[gate];
    let up_bits = up_q4[up];
    add(&sums, gate_scale * nibbles(gate_bits), up_scale * nibbles(up_bits), first_row, 2u * i);
    add(&sums, gate_scale * nibbles(gate_bits >> 4u), up_scale * nibbles(up_bits >> 4u), first_row, 2u * i + 1u);
  }
  finish(&sums, first_row, id.x);
}
