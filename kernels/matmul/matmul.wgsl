// Product of a few rows of activations with a large matrix, for adapters with subgroups.
//
//   out[r, n] = base + sum over k of y[r, k] * w[n, k],   base = out[r, n] if params.accumulate else 0
//   y[r, k] = x[r, k], or where `normalise` is set norm[k] * x[r, k] / sqrt(mean over k of x[r, k]^2 + eps);
//   where `rectify` is set max(x[r, k], 0) stands for x[r, k]
//
//   x (rows, cols) f32.  w (out_cols, cols): entry points f32, f16, q8 and q4.  out (rows, out_cols) f32.  All row-major.
//   Dispatch (ceil(out_cols / rows_per_group), ceil(rows / row_tile), 1).
//
// The norm costs no pass of its own: the root is the same for a whole row, so it divides the finished sums.
//
// A subgroup takes four rows of w at a time and `row_tile` rows of x. Each lane takes every subgroup_size-th vec4 of a
// row and the sums meet in subgroupAdd, so there is no barrier and no workgroup memory.
enable subgroups;
// Which rows a subgroup takes depends on its number in the workgroup: the same for all of its lanes, which the
// analysis cannot see.
diagnostic(off, subgroup_uniformity);

override workgroup_size: u32 = 32;
override rows_per_group: u32 = 16; // rows of w per workgroup, a multiple of 4
override row_tile: u32 = 1;        // rows of x, 1 to 8
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

fn halves(bits: vec2u) -> vec4f { return vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y)); }
fn bytes(bits: u32) -> vec4f { return vec4f(unpack4xI8(bits)); }

// Scale `i` of q4.
fn half(i: u32) -> f32 { return unpack2x16float(half_scales[i / 2u])[i % 2u]; }

// The low nibbles of a word of each of four rows, scaled.
fn nibbles(bits: vec4u, scale: vec4f) -> mat4x4f {
  let low = bits & vec4u(0x0f0f0f0fu);
  return mat4x4f(
    scale.x * (vec4f(unpack4xU8(low.x)) - 8.0), scale.y * (vec4f(unpack4xU8(low.y)) - 8.0),
    scale.z * (vec4f(unpack4xU8(low.z)) - 8.0), scale.w * (vec4f(unpack4xU8(low.w)) - 8.0));
}

// What a subgroup works on: four rows of w, as indices of their first vec4, of which those before `end` are its own.
struct Tile { row: vec4u, n: u32, end: u32, first_row: u32 }

fn tile(group: vec3u, start: u32, subgroup: u32) -> Tile {
  let n = group.x * rows_per_group + start + subgroup * 4u;
  // Rows past the end repeat the last one: loading them is harmless and every lane reaches the sums.
  let rows = min(vec4u(n, n + 1u, n + 2u, n + 3u), vec4u(params.out_cols - 1u));
  let end = min(params.out_cols, (group.x + 1u) * rows_per_group);
  return Tile(rows * (params.cols / 4u), n, end, group.y * row_tile);
}

// Per row of x: its products with the four rows of w, and its squares.
struct Sums { products: array<vec4f, 8>, squares: array<f32, 8> }

// Adds the products of vec4 `i` of the tile's four rows with that of each row of x.
fn add(sums: ptr<function, Sums>, w: mat4x4f, first_row: u32, i: u32) {
  var across = transpose(w);
  if (normalise) {
    let scale = norm[i];
    across = mat4x4f(across[0] * scale.x, across[1] * scale.y, across[2] * scale.z, across[3] * scale.w);
  }
  for (var m = 0u; m < row_tile; m++) {
    var value = x[(first_row + m) * (params.cols / 4u) + i];
    // Not max(): what is no number stays none.
    if (rectify) { value = select(value, vec4f(0.0), value < vec4f(0.0)); }
    (*sums).products[m] += across * value;
    if (normalise) { (*sums).squares[m] += dot(value, value); }
  }
}

fn finish(sums: ptr<function, Sums>, t: Tile, lane: u32) {
  for (var m = 0u; m < row_tile; m++) {
    var total = subgroupAdd((*sums).products[m]);
    if (normalise) {
      total *= inverseSqrt(subgroupAdd((*sums).squares[m]) / f32(params.cols) + params.eps);
    }
    let r = t.first_row + m;
    if (lane < 4u && t.n + lane < t.end && r < step.rows) {
      let at = r * params.out_stride + params.first_col + t.n + lane;
      out[at] = total[lane] + select(0.0, out[at], params.accumulate != 0u);
    }
  }
}

@compute @workgroup_size(workgroup_size)
fn f32_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  if (group.y * row_tile >= step.rows) { return; }
  for (var start = 0u; start < rows_per_group; start += workgroup_size / size * 4u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      add(&sums, mat4x4f(w_f32[at.x], w_f32[at.y], w_f32[at.z], w_f32[at.w]), t.first_row, i);
    }
    finish(&sums, t, lane);
  }
}

@compute @workgroup_size(workgroup_size)
fn f16_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  if (group.y * row_tile >= step.rows) { return; }
  for (var start = 0u; start < rows_per_group; start += workgroup_size / size * 4u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      let w = mat4x4f(halves(w_f16[at.x]), halves(w_f16[at.y]), halves(w_f16[at.z]), halves(w_f16[at.w]));
      add(&sums, w, t.first_row, i);
    }
    finish(&sums, t, lane);
  }
}

@compute @workgroup_size(workgroup_size)
fn q8_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  if (group.y * row_tile >= step.rows) { return; }
  for (var start = 0u; start < rows_per_group; start += workgroup_size / size * 4u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      let block = at / 8u; // 8 vec4 share a scale
      let w = mat4x4f(
        scales[block.x] * bytes(w_q8[at.x]), scales[block.y] * bytes(w_q8[at.y]),
        scales[block.z] * bytes(w_q8[at.z]), scales[block.w] * bytes(w_q8[at.w]));
      add(&sums, w, t.first_row, i);
    }
    finish(&sums, t, lane);
  }
}

@compute @workgroup_size(workgroup_size)
fn q4_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_size) size: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  if (group.y * row_tile >= step.rows) { return; }
  for (var start = 0u; start < rows_per_group; start += workgroup_size / size * 4u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 8u; i += size) {
      let at = t.row / 2u + i;
      let block = at / 4u; // 4 words share a scale
      let scale = vec4f(half(block.x), half(block.y), half(block.z), half(block.w));
      let bits = vec4u(w_q4[at.x], w_q4[at.y], w_q4[at.z], w_q4[at.w]);
      add(&sums, nibbles(bits, scale), t.first_row, 2u * i);
      add(&sums, nibbles(bits >> vec4u(4u), scale), t.first_row, 2u * i + 1u);
    }
    finish(&sums, t, lane);
  }
}
