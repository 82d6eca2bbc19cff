// Product of a few rows of activations with a large matrix, for adapters without subgroups.
//
//   out[r, n] = base + sum over k of y[r, k] * w[n, k],   base = out[r, n] if params.accumulate else 0
//   y[r, k] = x[r, k], or where `normalise` is set norm[k] * x[r, k] / sqrt(mean over k of x[r, k]^2 + eps);
//   where `rectify` is set max(x[r, k], 0) stands for x[r, k]
//
//   x (rows, cols) f32.  w (out_cols, cols): entry points f32, f16, q8 and q4.  out (rows, out_cols) f32.  All row-major.
//   Dispatch (ceil(out_cols / workgroup_size), ceil(rows / row_tile), 1).
//
// An invocation takes one row of w and `row_tile` rows of x: no barrier, no workgroup memory.

override workgroup_size: u32 = 32;
override row_tile: u32 = 1; // rows of x, 1 to 8
override normalise: bool = false;
override rectify: bool = false;

// `w` is rows [first_col, first_col + out_cols) of the whole matrix, which has out_stride.
struct Params {
  cols: u32, out_cols: u32, accumulate: u32, eps: f32,
  out_stride: u32, first_col: u32, pad0: u32, pad1: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> norm: array<vec4f>; // (cols); not read unless `normalise`
@group(0) @binding(2) var<storage, read> w_f32: array<vec4f>;
@group(0) @binding(2) var<storage, read> w_f16: array<vec2u>; // 4 halves
@group(0) @binding(2) var<storage, read> w_q8: array<u32>;    // 4 signed bytes
@group(0) @binding(2) var<storage, read> w_q4: array<u32>;    // 8 nibbles: of bytes 0 to 3 the low ones, then the high
@group(0) @binding(3) var<storage, read> scales: array<f32>;  // (out_cols, cols / 32) for q8
@group(0) @binding(3) var<storage, read> half_scales: array<u32>; // the same in 2 halves a word, for q4
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> step: Step;

// Scale `i` of q4.
fn half(i: u32) -> f32 { return unpack2x16float(half_scales[i / 2u])[i % 2u]; }

// The low nibbles of a word.
fn nibbles(bits: u32) -> vec4f { return vec4f(unpack4xU8(bits & 0x0f0f0f0fu)) - 8.0; }

// Per row of x: its products with the row of w, and its squares.
struct Sums { products: array<f32, 8>, squares: array<f32, 8> }

// Adds the products of vec4 `i` of a row of w with that of each row of x.
fn add(sums: ptr<function, Sums>, w: vec4f, first_row: u32, i: u32) {
  var scaled = w;
  if (normalise) { scaled *= norm[i]; }
  for (var m = 0u; m < row_tile; m++) {
    var value = x[(first_row + m) * (params.cols / 4u) + i];
    // Not max(): what is no number stays none.
    if (rectify) { value = select(value, vec4f(0.0), value < vec4f(0.0)); }
    (*sums).products[m] += dot(scaled, value);
    if (normalise) { (*sums).squares[m] += dot(value, value); }
  }
}

fn finish(sums: ptr<function, Sums>, first_row: u32, n: u32) {
  for (var m = 0u; m < row_tile; m++) {
    let r = first_row + m;
    if (r < step.rows) {
      let at = r * params.out_stride + params.first_col + n;
      var total = (*sums).products[m];
      if (normalise) { total *= inverseSqrt((*sums).squares[m] / f32(params.cols) + params.eps); }
      out[at] = total + select(0.0, out[at], params.accumulate != 0u);
    }
  }
}

@compute @workgroup_size(workgroup_size)
fn f32_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.out_cols) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) { add(&sums, w_f32[id.x * words + i], first_row, i); }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn f16_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.out_cols) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let bits = w_f16[id.x * words + i];
    add(&sums, vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y)), first_row, i);
  }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn q8_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.out_cols) { return; }
  let words = params.cols / 4u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let at = id.x * words + i;
    add(&sums, scales[at / 8u] * vec4f(unpack4xI8(w_q8[at])), first_row, i); // 8 vec4 share a scale
  }
  finish(&sums, first_row, id.x);
}

@compute @workgroup_size(workgroup_size)
fn q4_weights(@builtin(global_invocation_id) id: vec3u) {
  let first_row = id.y * row_tile;
  if (first_row >= step.rows || id.x >= params.out_cols) { return; }
  let words = params.cols / 8u;
  var sums = Sums();
  for (var i = 0u; i < words; i++) {
    let at = id.x * words + i;
    let scale = half(at / 4u); // 4 words share a scale
    add(&sums, scale * nibbles(w_q4[at]), first_row, 2u * i);
    add(&sums, scale * nibbles(w_q4[at] >> 4u), first_row, 2u * i + 1u);
  }
  finish(&sums, first_row, id.x);
}
