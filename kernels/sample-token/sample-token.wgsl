// Draws one token of a frame from a row of logits and hands it on.
//
//   token = argmax of l, or at a temperature the argmax over the top-k largest of l / temperature + Gumbel noise;
//   l = logits[0], or with guidance null + (conditioned - null) * coefficient, conditioned = logits[0], null = logits[1].
//   The mix replaces logits[0]. Of l, the one at `bonus_token` is then taken as `bonus` more. A tie goes to the lower token. -1 if no logit is a number.
//   Of all that tie with the top-k-th largest, none is left out.
//   sampled[slot] = token;  handed[slot] = forced[slot], or the token where that is `not_forced`.
//   The noise depends on the seed, position * slots + slot and the token alone.
//   logits (1 or 2, cols) f32.  forced, sampled, handed (slots) i32.  Dispatch (1, 1, 1).
override workgroup_size: u32 = 64; // a power of 4: the winners meet four by four

struct Params {
  cols: u32,
  slot: u32,
  slots: u32,
  top_k: u32, // 0: all
  seed: u32,
  temperature: f32, // 0: greedy
  guided: u32,
  coefficient: f32,
  bonus_token: u32,
  bonus: f32,
  pad0: u32, pad1: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read_write> logits: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index: the first is read
@group(0) @binding(2) var<storage, read> forced: array<i32>;
@group(0) @binding(3) var<storage, read_write> sampled: array<i32>;
@group(0) @binding(4) var<storage, read_write> handed: array<i32>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> step: Step;

const not_forced = -2;
const none = -3.4e38;

var<workgroup> counts: array<atomic<u32>, 48>;
var<workgroup> best_score: array<f32, workgroup_size>;
var<workgroup> best_token: array<u32, workgroup_size>;

// First word of pcg3d: Jarzynski and Olano, "Hash Functions for GPU Rendering", JCGT 9(3), 2020.
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

fn logit_of(token: u32) -> f32 {
  return logits[token] + select(0.0, params.bonus, token == params.bonus_token);
}

fn score_of(token: u32, draw: u32) -> f32 {
  if (params.temperature == 0.0) { return logit_of(token); }
  return logit_of(token) / params.temperature - log(exponential(pcg3d(vec3u(params.seed, draw, token))));
}

// A number that is larger for a larger logit.
fn rank_key(token: u32) -> u32 {
  let bits = bitcast<u32>(logit_of(token));
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// The key of the top_k-th largest logit, found two bits at a time: the largest key that at least top_k tokens reach.
fn least_key(thread: u32) -> u32 {
  var key = 0u;
  for (var round = 0u; round < 16u; round++) {
    let unit = 0x40000000u >> (2u * round);
    let candidates = vec3u(key) + vec3u(1u, 2u, 3u) * unit;
    var reaching = vec3u();
    for (var token = thread; token < params.cols; token += workgroup_size) {
      reaching += select(vec3u(), vec3u(1u), vec3u(rank_key(token)) >= candidates);
    }
    for (var i = 0u; i < 3u; i++) { atomicAdd(&counts[3u * round + i], reaching[i]); }
    workgroupBarrier();
    for (var i = 0u; i < 3u; i++) { key += select(0u, unit, atomicLoad(&counts[3u * round + i]) >= params.top_k); }
  }
  return key;
}

// Whether (score, token) beats the present best.
fn beats(score: f32, token: u32, best: f32, best_of: u32) -> bool {
  return score > best || (score == best && token < best_of);
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  // Each thread mixes the logits that it alone reads later.
  if (params.guided != 0u) {
    for (var t = thread; t < params.cols; t += workgroup_size) {
      let unconditioned = logits[params.cols + t];
      logits[t] = unconditioned + (logits[t] - unconditioned) * params.coefficient;
    }
  }

  var least = 0u;
  if (params.temperature != 0.0 && params.top_k != 0u && params.top_k < params.cols) { least = least_key(thread); }

  let draw = rows[0].x * params.slots + params.slot;
  var score = none;
  var token = params.cols;
  for (var t = thread; t < params.cols; t += workgroup_size) {
    if (rank_key(t) < least) { continue; }
    let candidate = score_of(t, draw);
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

  let chosen = select(i32(best_token[0]), -1, best_token[0] == params.cols);
  let wanted = forced[params.slot];
  sampled[params.slot] = chosen;
  handed[params.slot] = select(wanted, chosen, wanted == not_forced);
}
