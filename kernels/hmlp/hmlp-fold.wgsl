// One fold of the video stem: every fold_t x fold_h x fold_h neighbourhood through one linear.
//
//   y[o] = W n(o),  n(o) the neighbourhood's channels in the order frame, row, column, channel
//   out[o] = gelu(norm * y[o] / sqrt(mean(y[o]^2) + norm_eps)),  gelu(x) = x (1 + erf(x / sqrt 2)) / 2
//   The last fold gives y itself.
//   source: packed, (2, height, width, 3) i8 over 32; else (tiles, frames, side, side, channels) f32.
//   weights (inputs, outputs / 4) vec4f: W transposed, so that neighbouring threads read neighbouring words.
//   norm (outputs) f32.  out (tiles, frames / fold_t, side / fold_h, side / fold_h, outputs) f32.
//   Dispatch (ceil(positions / 4), 1, 1); workgroup_size = outputs / 4 * input_splits.
//
// A thread takes four outputs at four positions, so that eight loads serve sixteen products, over every
// input_splits-th input of a run. The splits meet in workgroup memory.
override workgroup_size: u32;
override input_splits: u32 = 1;
override packed: bool;      // the source is the video itself
override normalises: bool;  // all but the last fold
override norm_eps: f32;
override fold_t: u32;
override fold_h: u32;
override channels: u32;
override outputs: u32;      // a multiple of 4
override positions: u32;    // tiles * (frames / fold_t) * (side / fold_h)^2
override out_frames: u32;   // frames / fold_t
override out_side: u32;     // side / fold_h
// Where things lie in the source, in elements.
override tiles_per_row: u32;
override tile_row_stride: u32;
override tile_stride: u32;
override frame_stride: u32;
override row_stride: u32;

override quads: u32 = outputs / 4u;
override run: u32 = fold_h * channels; // elements of a neighbourhood's row: they lie together

@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<vec4f>;
@group(0) @binding(2) var<storage, read> norm: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;

var<workgroup> partial: array<mat4x4f, workgroup_size>;
var<workgroup> squares: array<vec4f, quads>;

fn element(index: u32) -> f32 {
  if (!packed) { return bitcast<f32>(source[index]); }
  return f32(extractBits(bitcast<i32>(source[index / 4u]), index % 4u * 8u, 8u)) / 32.0;
}

// First element of a position's neighbourhood. Positions past the end repeat the last one and are not written.
fn neighbourhood(position: u32) -> u32 {
  let p = min(position, positions - 1u);
  let column = p % out_side;
  let row = p / out_side % out_side;
  let frame = p / (out_side * out_side) % out_frames;
  let tile = p / (out_side * out_side * out_frames);
  return tile / tiles_per_row * tile_row_stride + tile % tiles_per_row * tile_stride
    + frame * fold_t * frame_stride + row * fold_h * row_stride + column * run;
}

// erf to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
fn erf(x: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.3275911 * abs(x));
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(x) * (1.0 - poly * exp(-x * x));
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let quad = thread % quads;
  let split = thread / quads;
  let first = group.x * 4u;
  let base = vec4u(
    neighbourhood(first), neighbourhood(first + 1u), neighbourhood(first + 2u), neighbourhood(first + 3u));

  var sum = mat4x4f(); // a column a position
  for (var line = 0u; line < fold_t * fold_h; line++) {
    let at = base + line / fold_h * frame_stride + line % fold_h * row_stride;
    for (var i = split; i < run; i += input_splits) {
      let weight = weights[(line * run + i) * quads + quad];
      sum[0] += weight * element(at.x + i);
      sum[1] += weight * element(at.y + i);
      sum[2] += weight * element(at.z + i);
      sum[3] += weight * element(at.w + i);
    }
  }
  if (input_splits > 1u) {
    partial[thread] = sum;
    workgroupBarrier();
    if (split == 0u) {
      for (var s = 1u; s < input_splits; s++) { sum += partial[s * quads + quad]; }
    }
  }

  if (normalises) {
    if (split == 0u) {
      squares[quad] = vec4f(dot(sum[0], sum[0]), dot(sum[1], sum[1]), dot(sum[2], sum[2]), dot(sum[3], sum[3]));
    }
    workgroupBarrier();
    var total = vec4f();
    for (var i = 0u; i < quads; i++) { total += squares[i]; }
    let scale = inverseSqrt(total / f32(outputs) + norm_eps);
    for (var p = 0u; p < 4u; p++) {
      let x = norm[quad] * sum[p] * scale[p];
      sum[p] = 0.5 * x * (1.0 + erf(x * 0.70710678118654752));
    }
  }
  if (split != 0u) { return; }
  for (var p = 0u; p < 4u; p++) {
    if (first + p < positions) { out[(first + p) * quads + quad] = sum[p]; }
  }
}
