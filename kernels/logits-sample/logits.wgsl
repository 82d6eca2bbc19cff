// Logits of the last row: the tied embedding times the hidden state, plus the head's bias.
//
//   out[v] = bias[v] + sum over k of w[v, k] * x[rows - 1, k]
//   x (rows, cols) f32.  w (vocab_size, cols), a Matrix (kernels/matrix.ts).  bias, out (vocab_size) f32.
//   Dispatch (ceil(vocab_size / (workgroup_size / lanes_per_token)), 1, 1).
//
// `lanes_per_token` threads share a row of w, word by word. 1 suits a software adapter, where a thread reads alone; 8
// lets neighbours read neighbouring words.
override workgroup_size: u32 = 64;
override lanes_per_token: u32 = 8; // divides workgroup_size
override weight_format: u32 = 0; // 0 f32, 1 f16, 2 q8 in blocks of 32

override tokens_per_group: u32 = workgroup_size / lanes_per_token;

struct Params { vocab_size: u32, cols: u32, pad0: u32, pad1: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<vec4u>;
@group(0) @binding(2) var<storage, read> scales: array<f32>; // (vocab_size, cols / 32) for q8
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> step: Step;

var<workgroup> partial: array<f32, workgroup_size>;

// Word `index` of the matrix times the x that begin at vec4 `at`.
fn word_times_x(index: u32, at: u32) -> f32 {
  let word = weights[index];
  if (weight_format == 0u) { return dot(bitcast<vec4f>(word), x[at]); }
  if (weight_format == 1u) {
    return dot(vec4f(unpack2x16float(word.x), unpack2x16float(word.y)), x[at])
      + dot(vec4f(unpack2x16float(word.z), unpack2x16float(word.w)), x[at + 1u]);
  }
  let sum = dot(vec4f(unpack4xI8(word.x)), x[at]) + dot(vec4f(unpack4xI8(word.y)), x[at + 1u])
    + dot(vec4f(unpack4xI8(word.z)), x[at + 2u]) + dot(vec4f(unpack4xI8(word.w)), x[at + 3u]);
  return sum * scales[index / 2u]; // two words of 16 elements make a block
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  let token = min(group.x * tokens_per_group + thread / lanes_per_token, params.vocab_size - 1u);
  let words = (params.cols / 4u) >> weight_format;
  let hidden = (step.rows - 1u) * (params.cols / 4u);
  var sum = 0.0;
  for (var i = thread % lanes_per_token; i < words; i += lanes_per_token) {
    sum += word_times_x(token * words + i, hidden + (i << weight_format));
  }
  partial[thread] = sum;
  workgroupBarrier();
  let own = group.x * tokens_per_group + thread;
  if (thread >= tokens_per_group || own >= params.vocab_size) { return; }
  var total = bias[own];
  for (var i = 0u; i < lanes_per_token; i++) { total += partial[thread * lanes_per_token + i]; }
  out[own] = total;
}
