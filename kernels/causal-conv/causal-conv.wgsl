// Causal convolution of one frame along time, channels last.
//
//   y[t, o] = bias[o] + residual[t, o] + sum over taps k and channels c of w[k, c, o] * x[t stride + k dilation, c]
//   out = y,  activated = f(y),  f(y) = max(y, 0) + exp(min(y, 0)) - 1 (ELU) or y (1 + erf(y / sqrt 2)) / 2 (GELU)
//
//   x (first_row rows that are not used, then context and frame, channels) f32: rows of FrameRows (frame-rows.ts).
//   w (taps, channels, out_channels) f32.  bias (out_channels), residual (positions, out_channels) f32.
//   out, activated: FrameRows of positions * out_channels elements a frame. All row-major and in units of vec4, four
//   channels or, for w, four outputs.  Dispatch (ceil(positions / tile rounded up * out_quads / items), 1, 1).
//
// An item is four outputs at `tile` positions: 4 + tile loads serve 16 tile products, and neighbouring threads read
// neighbouring words of w. Where there are few items, `splits` threads share the inputs of one and their sums meet in
// workgroup memory.
override items: u32 = 32;  // of a workgroup
override splits: u32 = 1;  // threads that share an item
override tile: u32 = 4;    // positions of an item, 1 to 4
override threads: u32 = items * splits;
override partials: u32 = (splits - 1u) * tile * items + 1u;

// What bounds a loop is a uniform, so that a software adapter does not spend seconds on unrolling it.
struct Params {
  taps: u32,
  in_quads: u32,        // channels / 4
  out_quads: u32,
  positions: u32,
  stride: u32,
  dilation: u32,
  first_row: u32,       // of x that the first position reads
  context: u32,         // rows of x before the frame
  out_context: u32,     // quads before the frame in `out`
  activated_context: u32,
  flags: u32,
  splits: u32,          // as the constant above
}
// Flags.
const has_residual = 1u;
const writes_out = 2u;
const writes_activated = 4u;
const gelu = 8u;        // else ELU
const replicates = 16u; // in a first frame the context is copies of the frame's first row

struct Start { is_first: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> w: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read> residual: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> activated: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;
@group(0) @binding(7) var<uniform> start: Start;

var<workgroup> partial: array<vec4f, partials>;

fn flag(bit: u32) -> bool { return (params.flags & bit) != 0u; }

// erf to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
fn erf(y: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.3275911 * abs(y));
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return sign(y) * (1.0 - poly * exp(-y * y));
}

fn activate(y: vec4f) -> vec4f {
  if (flag(gelu)) { return 0.5 * y * (1.0 + erf(y * 0.70710678118654752)); }
  return select(exp(min(y, vec4f())) - 1.0, y, y > vec4f());
}

// Quad `e` of the frame is this thread's, and in each earlier frame that is still kept the quads that stand `frame` before
// it: every one moves one place to the front.
fn finish(e: u32, y: vec4f) {
  let frame = params.positions * params.out_quads;
  if (flag(writes_out)) {
    let last = params.out_context + e;
    for (var i = last % frame; i < last; i += frame) { out[i] = out[i + frame]; }
    out[last] = y;
  }
  if (flag(writes_activated)) {
    let last = params.activated_context + e;
    for (var i = last % frame; i < last; i += frame) { activated[i] = activated[i + frame]; }
    activated[last] = activate(y);
  }
}

@compute @workgroup_size(threads)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let split = local / items;
  let item = group.x * items + local % items;
  let o = item % params.out_quads;
  let first = item / params.out_quads * tile;
  // Positions past the end repeat the last one and are not written.
  let t = min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(params.positions - 1u));
  let earliest = select(0u, params.context, flag(replicates) && start.is_first != 0u);

  var sums: array<vec4f, 4>;
  for (var k = 0u; k < params.taps; k++) {
    let row = params.first_row + t * params.stride + k * params.dilation;
    let at = max(row, vec4u(earliest)) * params.in_quads;
    for (var i = split; i < params.in_quads; i += splits) {
      let cell = (k * params.in_quads + i) * 4u * params.out_quads + o;
      let step = params.out_quads;
      let weights = mat4x4f(w[cell], w[cell + step], w[cell + 2u * step], w[cell + 3u * step]);
      for (var p = 0u; p < tile; p++) { sums[p] += weights * x[at[p] + i]; }
    }
  }

  if (splits > 1u) {
    if (split > 0u) {
      for (var p = 0u; p < tile; p++) { partial[((split - 1u) * tile + p) * items + local % items] = sums[p]; }
    }
    workgroupBarrier();
    if (split > 0u) { return; }
    for (var s = 1u; s < params.splits; s++) {
      for (var p = 0u; p < tile; p++) { sums[p] += partial[((s - 1u) * tile + p) * items + local]; }
    }
  }
  for (var p = 0u; p < tile; p++) {
    if (first + p >= params.positions) { break; }
    let e = (first + p) * params.out_quads + o;
    var y = sums[p] + bias[o];
    if (flag(has_residual)) { y += residual[e]; }
    finish(e, y);
  }
}
