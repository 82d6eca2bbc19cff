// Embeddings of a step's tokens: sums of table rows, by the kind of each token.
//
//   told, said:  text[index] + role[kind]
//   clock:       the rows of tick, second, ten seconds, minute, ten minutes and hour at the end of micro-turn `index`
//   audio:       RMSNorm of the sum over channels c of audio[c * n_levels + levels[index, c]]
//   video:       tiles[index] + tile[index]
//
//   rows (rows) Row.  levels (frames, n_channels) u32.  tiles (n_tiles, cols) f32.  out (rows, cols) f32, row-major.
//   Dispatch (rows, 1, 1).

override workgroup_size: u32 = 64; // a power of two: the tree sum halves it
override text_format: u32 = 0;     // 0 f32, 1 f16, 2 q8 in blocks of 32

struct Params {
  cols: u32,
  n_channels: u32,
  n_levels: u32,
  eps: f32,
  // First row of each part of `tables`.
  clock: u32,
  tile: u32,
  audio: u32,
  audio_norm: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> rows: array<vec4u>;       // position, cache slot, kind, index
@group(0) @binding(1) var<storage, read> text: array<u32>;         // (vocab_size, cols) in text_format
@group(0) @binding(2) var<storage, read> text_scales: array<f32>;  // (vocab_size, cols / 32) for q8
@group(0) @binding(3) var<storage, read> tables: array<f32>;       // (sum of parts, cols): role first
@group(0) @binding(4) var<storage, read> levels: array<u32>;
@group(0) @binding(5) var<storage, read> tiles: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;
@group(0) @binding(8) var<uniform> step: Step;

const told = 0u;
const said = 1u;
const clock = 2u;
const audio = 3u;

var<workgroup> partial: array<f32, workgroup_size>;

fn table(row: u32, c: u32) -> f32 { return tables[row * params.cols + c]; }

fn text_at(token: u32, c: u32) -> f32 {
  let i = token * params.cols + c;
  if (text_format == 0u) { return bitcast<f32>(text[i]); }
  if (text_format == 1u) { return unpack2x16float(text[i / 2u])[i % 2u]; }
  return f32(unpack4xI8(text[i / 4u])[i % 4u]) * text_scales[i / 32u];
}

// The six rows of the clock table for the end of micro-turn k: ticks of 200 ms, five to the second.
fn clock_at(k: u32, c: u32) -> f32 {
  let tick = k + 1u;
  let second = tick / 5u % 60u;
  let minute = tick / 300u % 60u;
  let hour = tick / 18000u % 24u;
  let first = params.clock;
  return table(first + tick % 5u, c)
    + table(first + 5u + second % 10u, c) + table(first + 15u + second / 10u, c)
    + table(first + 21u + minute % 10u, c) + table(first + 31u + minute / 10u, c)
    + table(first + 37u + hour, c);
}

fn audio_at(frame: u32, c: u32) -> f32 {
  var sum = 0.0;
  for (var channel = 0u; channel < params.n_channels; channel++) {
    let level = levels[frame * params.n_channels + channel];
    sum += table(params.audio + channel * params.n_levels + level, c);
  }
  return sum;
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  if (group.x >= step.rows) { return; }
  let kind = rows[group.x].z;
  let index = rows[group.x].w;
  let start = group.x * params.cols;
  var squares = 0.0;
  for (var c = local; c < params.cols; c += workgroup_size) {
    var value: f32;
    switch kind {
      case told, said: { value = text_at(index, c) + table(kind, c); }
      case clock: { value = clock_at(index, c); }
      case audio: { value = audio_at(index, c); }
      default: { value = tiles[index * params.cols + c] + table(params.tile + index, c); }
    }
    out[start + c] = value;
    squares += value * value;
  }
  partial[local] = squares;
  for (var half = workgroup_size / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local < half) { partial[local] += partial[local + half]; }
  }
  workgroupBarrier();
  if (kind != audio) { return; }
  let scale = inverseSqrt(partial[0] / f32(params.cols) + params.eps);
  // Each invocation finishes the elements that it has written itself.
  for (var c = local; c < params.cols; c += workgroup_size) {
    out[start + c] *= scale * table(params.audio_norm, c);
  }
}
