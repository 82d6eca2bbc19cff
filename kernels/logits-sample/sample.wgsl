// Chooses the next token from one row of logits and sets up the decode step that feeds it back. One workgroup.
//
//   temperature 0: the token of the largest logit.
//   else: the token of the largest logit / temperature + g, g = -ln(-ln u), u uniform in (0, 1), which is a draw from
//   softmax(logits / temperature) (the Gumbel-max trick). With top_k, only tokens whose logit is at least the top_k-th
//   largest take part. A tie goes to the lower token. If no logit is a number the choice is next_token.
//   u comes from (seed, position of the choice, token) alone: pcg3d of Jarzynski and Olano, "Hash Functions for GPU
//   Rendering", JCGT 9(3), 2020.
//   logits (vocab_size) f32.  Turn, Block, Row and Step as in kernels/step.ts.  Dispatch (1, 1, 1).
override workgroup_size: u32 = 64; // a power of 4: the winners meet four by four
override opens_block: bool; // after the prefill; else a closed block stays as it is

struct Turn {
  said_position: u32, said_count: u32, said_start: u32, said_capacity: u32,
  max_tokens: u32, next_token: u32, top_k: u32, seed: u32,
  temperature: f32, pad0: u32, pad1: u32, pad2: u32,
}
struct Params { vocab_size: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> block: array<u32>;       // count, tokens
@group(0) @binding(2) var<storage, read_write> decode_row: vec4u;       // position, cache slot, kind, index
@group(0) @binding(3) var<storage, read_write> decode_step: vec4u;      // rows, 0, 0, 0
@group(0) @binding(4) var<uniform> turn: Turn;
@group(0) @binding(5) var<uniform> params: Params;

const said_kind = 1u;
const none = -3.4e38;

var<workgroup> is_open: u32;
var<workgroup> counts: array<atomic<u32>, 32>;
var<workgroup> best_score: array<f32, workgroup_size>;
var<workgroup> best_token: array<u32, workgroup_size>;

fn pcg3d(key: vec3u) -> u32 {
  var v = key * 1664525u + 1013904223u;
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3u(16u);
  v.x += v.y * v.z;
  return v.x;
}

// -ln u. Near 1, where WGSL's log may be off by more than the result, by the series of 2 atanh(w / (2 - w)), w = 1 - u.
fn exponential(bits: u32) -> f32 {
  let u = (f32(bits >> 9u) + 0.5) / 8388608.0;
  if (u < 0.5) { return -log(u); }
  let w = 1.0 - u;
  let s = w / (2.0 - w);
  let z = s * s;
  return 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z / 11.0)))));
}

fn score_of(token: u32) -> f32 {
  if (turn.temperature == 0.0) { return logits[token]; }
  let noise = -log(exponential(pcg3d(vec3u(turn.seed, turn.said_position + block[0], token))));
  return logits[token] / turn.temperature + noise;
}

// A number that is larger for a larger logit.
fn rank_key(token: u32) -> u32 {
  let bits = bitcast<u32>(logits[token]);
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// The key of the top_k-th largest logit, found bit by bit: the largest key that at least top_k tokens reach.
fn least_key(thread: u32) -> u32 {
  var key = 0u;
  for (var bit = 0u; bit < 32u; bit++) {
    let candidate = key | (0x80000000u >> bit);
    var count = 0u;
    for (var token = thread; token < params.vocab_size; token += workgroup_size) {
      count += u32(rank_key(token) >= candidate);
    }
    atomicAdd(&counts[bit], count);
    workgroupBarrier();
    key = select(key, candidate, atomicLoad(&counts[bit]) >= turn.top_k);
  }
  return key;
}

// Whether (score, token) beats the present best.
fn beats(score: f32, token: u32, best: f32, best_of: u32) -> bool {
  return score > best || (score == best && token < best_of);
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (thread == 0u) { is_open = u32(opens_block || decode_step.x != 0u); }
  if (workgroupUniformLoad(&is_open) == 0u) { return; }

  var least = 0u;
  if (turn.temperature != 0.0 && turn.top_k != 0u && turn.top_k < params.vocab_size) { least = least_key(thread); }

  var score = none;
  var token = params.vocab_size;
  for (var t = thread; t < params.vocab_size; t += workgroup_size) {
    if (rank_key(t) < least) { continue; }
    let candidate = score_of(t);
    if (beats(candidate, t, score, token)) {
      score = candidate;
      token = t;
    }
  }
  best_score[thread] = score;
  best_token[thread] = token;
  workgroupBarrier();
  for (var n = workgroup_size / 4u; n > 0u; n /= 4u) {
    if (thread < n) {
      for (var i = thread + n; i < 4u * n; i += n) {
        if (beats(best_score[i], best_token[i], best_score[thread], best_token[thread])) {
          best_score[thread] = best_score[i];
          best_token[thread] = best_token[i];
        }
      }
    }
    workgroupBarrier();
  }
  if (thread != 0u) { return; }

  let chosen = select(best_token[0], turn.next_token, best_token[0] == params.vocab_size);
  let index = block[0];
  block[0] = index + 1u;
  block[1u + index] = chosen;
  if (chosen == turn.next_token || index + 1u >= turn.max_tokens) {
    decode_step = vec4u();
  } else {
    let slot = turn.said_start + (turn.said_count + index) % turn.said_capacity;
    decode_row = vec4u(turn.said_position + index, slot, said_kind, chosen);
    decode_step = vec4u(1u, 0u, 0u, 0u);
  }
}
