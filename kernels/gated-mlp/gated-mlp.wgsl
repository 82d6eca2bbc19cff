// Gated MLP's inner layer for a few rows of activations, for adapters with subgroups.
//
//   out[r, n] = silu(gate[r, n]) * up[r, n],   silu(g) = g / (1 + exp(-g))
//   gate[r, n] = sum over k of y[r, k] * w[n, k],   up[r, n] = sum over k of y[r, k] * w[out_cols + n, k]
//   y[r, k] = norm[k] * x[r, k] / sqrt(mean over k of x[r, k]^2 + eps)
//
//   x (rows, cols) f32.  w (2 out_cols, cols): entry points f32, f16, q8 and q4.  out (rows, out_cols) f32.  All row-major.
//   A dispatch makes outputs [first_out, first_out + outputs). Their gates and their ups are each a run of rows in a buffer:
//   one and the same, or two where all of w is more than a buffer holds.
//   Dispatch (ceil(outputs / outputs_per_group), ceil(rows / row_tile), 1).
//
// The norm costs no pass of its own: the root is the same for a whole row, so it divides the finished sums.
//
// A subgroup takes two outputs, four rows of w, at a time and `row_tile` rows of x. Each lane takes every
// subgroup_size-th vec4 of a row and the sums meet in subgroupAdd, so there is no barrier and no workgroup memory.
enable subgroups;
// Which rows a subgroup takes depends on its number in the workgroup: the same for all of its lanes, which the
// analysis cannot see.
diagnostic(off, subgroup_uniformity);

override workgroup_size: u32 = 32;
override outputs_per_group: u32 = 8; // a multiple of 2
override row_tile: u32 = 1;          // rows of x, 1 to 8

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

// The low nibbles of a word of each of four rows, scaled.
fn nibbles(bits: vec4u, scale: vec4f) -> mat4x4f {
  let low = bits & vec4u(0x0f0f0f0fu);
  return mat4x4f(
    scale.x * (vec4f(unpack4xU8(low.x)) - 8.0), scale.y * (vec4f(unpack4xU8(low.y)) - 8.0),
    scale.z * (vec4f(unpack4xU8(low.z)) - 8.0), scale.w * (vec4f(unpack4xU8(low.w)) - 8.0));
}

// What a subgroup works on: outputs n and n + 1 of the dispatch where they are before `end`, and the rows that make their
// gates and then their ups, as indices of their first vec4.
struct Tile { row: vec4u, n: u32, end: u32, first_row: u32 }

fn tile(group: vec3u, start: u32, subgroup: u32) -> Tile {
  let n = group.x * outputs_per_group + start + subgroup * 2u;
  // Outputs past the end repeat the last one: loading them is harmless and every lane reaches the sums.
  let outputs = min(vec2u(n, n + 1u), vec2u(params.outputs - 1u));
  let rows = vec4u(outputs + params.first_gate, outputs + params.first_up);
  let end = min(params.outputs, (group.x + 1u) * outputs_per_group);
  return Tile(rows * (params.cols / 4u), n, end, group.y * row_tile);
}

// Per row of x: its products with the four rows of w, and its squares.
struct Sums { products: array<vec4f, 8>, squares: array<f32, 8> }

// Adds the products of vec4 `i` of the tile's four rows with that of each row of x.
fn add(sums: ptr<function, Sums>, w: mat4x4f, first_row: u32, i: u32) {
  let scale = norm[i];
  let by_row = transpose(w);
  let across = mat4x4f(by_row[0] * scale.x, by_row[1] * scale.y, by_row[2] * scale.z, by_row[3] * scale.w);
  for (var m = 0u; m < row_tile; m++) {
    let value = x[(first_row + m) * (params.cols / 4u) + i];
    (*sums).products[m] += across * value;
    (*sums).squares[m] += dot(value, value);
  }
}

fn finish(sums: ptr<function, Sums>, t: Tile, lane: u32) {
  for (var m = 0u; m < row_tile; m++) {
    let root = inverseSqrt(subgroupAdd((*sums).squares[m]) / f32(params.cols) + params.eps);
    let total = subgroupAdd((*sums).products[m]) * root;
    // Beyond 80 the quotient is zero to the last bit that counts, and exp stays finite.
    let gated = total.xy / (1.0 + exp(min(-total.xy, vec2f(80.0)))) * total.zw;
    let r = t.first_row + m;
    if (lane < 2u && t.n + lane < t.end && r < step.rows) {
      out[r * params.out_cols + params.first_out + t.n + lane] = gated[lane];
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
  for (var start = 0u; start < outputs_per_group; start += workgroup_size / size * 2u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      add(&sums, mat4x4f(gate_f32[at.x], gate_f32[at.y], up_f32[at.z], up_f32[at.w]), t.first_row, i);
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
  for (var start = 0u; start < outputs_per_group; start += workgroup_size / size * 2u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      let w = mat4x4f(
        halves(gate_f16[at.x]), halves(gate_f16[at.y]), halves(up_f16[at.z]), halves(up_f16[at.w]));
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
  for (var start = 0u; start < outputs_per_group; start += workgroup_size / size * 2u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 4u; i += size) {
      let at = t.row + i;
      let block = at / 8u; // 8 vec4 share a scale
      let w = mat4x4f(
        gate_scales[block.x] * bytes(gate_q8[at.x]), gate_scales[block.y] * bytes(gate_q8[at.y]),
        up_scales[block.z] * bytes(up_q8[at.z]), up_scales[block.w] * bytes(up_q8[at.w]));
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
  for (var start = 0u; start < outputs_per_group; start += workgroup_size / size * 2u) {
    let t = tile(group, start, local / size);
    var sums = Sums();
    for (var i = lane; i < params.cols / 8u; i += size) {
      let at = t.row / 2u + i;
      let block = at / 4u; // 4 words share a scale
      let scale = vec4f(gate_half(block.x), gate_half(block.y), up_half(block.z), up_half(block.w));
      let bits = vec4u(gate_q4[at.x], gate_q4[at.y], up_q4[at.z], up_q4[at.w]);
      add(&sums, nibbles(bits, scale), t.first_row, 2u * i);
      add(&sums, nibbles(bits >> vec4u(4u), scale), t.first_row, 2u * i + 1u);
    }
    finish(&sums, t, lane);
  }
}
