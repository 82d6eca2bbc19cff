// Attention of new queries over the whole cache, or over one of `splits` parts of it (attention-merge then joins them).
//
//   out[r, h] = sum over slots s of p_s value[g, s],  p = softmax of q[r, h] . key[g, s] / sqrt(head_dim) over the
//   slots that row r sees,  g = h / (n_heads / n_kv_heads).  Row r at position P sees a slot at position p if p <= P
//   and, in the first `perception_slots` slots, P / 64 - p / 64 < perception_turns (whole micro-turns).
//   An empty slot is at position 2^32 - 1.  A row that sees nothing gets zeros.
//   q (rows, n_heads, head_dim) f32.  keys (n_kv_heads, head_dim / 4, capacity) vec4f.
//   values (n_kv_heads, capacity, head_dim) f32.
//   out with splits = 1: (rows, n_heads, head_dim) f32; else the parts: (rows, n_heads, splits, head_dim / 4 + 1) vec4f,
//   the sums of exp(score - peak) value, then (peak, sum of exp(score - peak), 0, 0).
//   Dispatch (splits, n_kv_heads, ceil(rows / row_block)).
//
// A workgroup takes one kv head and `row_block` rows; a "query" below is one head of one of those rows. It walks the
// slots in tiles of workgroup_size. First each thread scores one slot for all queries; then each thread takes one vec4
// of the values and every lanes-th slot of the tile. No lane talks to its neighbours, so the subgroup size is of no
// matter, and there are two barriers a tile.
override workgroup_size: u32 = 64; // a multiple of head_dim / 4
override n_heads: u32;
override n_kv_heads: u32;
override head_dim: u32;
override capacity: u32;
override perception_slots: u32;
override perception_turns: u32;
override splits: u32 = 1;
override row_block: u32 = 1;

override group_heads: u32 = n_heads / n_kv_heads;
override queries: u32 = row_block * group_heads; // at most max_queries
override chunks: u32 = head_dim / 4u;
override lanes: u32 = workgroup_size / chunks; // threads that share a chunk of the values

const max_queries = 16u;
const position_bits_in_turn = 6u; // 64 positions a micro-turn
const hidden = -3.0e38; // score of a slot that the row does not see

struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;
@group(0) @binding(2) var<storage, read> values: array<vec4f>;
@group(0) @binding(3) var<storage, read> slot_positions: array<u32>;
@group(0) @binding(4) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<uniform> step: Step;

var<workgroup> query: array<vec4f, queries * chunks>; // scaled by 1 / sqrt(head_dim)
var<workgroup> score: array<f32, queries * workgroup_size>;
var<workgroup> sum_of: array<vec4f, queries * workgroup_size>;
var<workgroup> peak_of: array<f32, queries * lanes>;
var<workgroup> mass_of: array<f32, queries * lanes>;

// The row of a query. Rows past the end repeat the last one and are not written.
fn row_of(block: u32, query_index: u32) -> u32 {
  return min(block * row_block + query_index / group_heads, step.rows - 1u);
}

fn sees(row_position: u32, slot: u32) -> bool {
  let slot_position = slot_positions[slot];
  let age = (row_position >> position_bits_in_turn) - (slot_position >> position_bits_in_turn);
  return slot_position <= row_position && (slot >= perception_slots || age < perception_turns);
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  let split = group.x;
  let kv_head = group.y;
  let block = group.z;
  let chunk = thread % chunks;
  let lane = thread / chunks;

  for (var i = thread; i < queries * chunks; i += workgroup_size) {
    let head = kv_head * group_heads + i / chunks % group_heads;
    query[i] = q[(row_of(block, i / chunks) * n_heads + head) * chunks + i % chunks] * inverseSqrt(f32(head_dim));
  }
  workgroupBarrier();

  var sum: array<vec4f, max_queries>;
  var peak: array<f32, max_queries>;
  var mass: array<f32, max_queries>;
  for (var n = 0u; n < queries; n++) { peak[n] = hidden; }

  for (var first = split * workgroup_size; first < capacity; first += splits * workgroup_size) {
    let slot = min(first + thread, capacity - 1u);
    var dots: array<f32, max_queries>;
    for (var c = 0u; c < chunks; c++) {
      let key = keys[(kv_head * chunks + c) * capacity + slot];
      for (var n = 0u; n < queries; n++) { dots[n] += dot(query[n * chunks + c], key); }
    }
    for (var n = 0u; n < queries; n++) {
      let seen = first + thread < capacity && sees(rows[row_of(block, n)].x, slot);
      score[n * workgroup_size + thread] = select(hidden, dots[n], seen);
    }
    workgroupBarrier();

    for (var n = 0u; n < queries; n++) {
      var higher = peak[n];
      for (var s = lane; s < workgroup_size; s += lanes) { higher = max(higher, score[n * workgroup_size + s]); }
      let fade = exp(peak[n] - higher);
      sum[n] *= fade;
      mass[n] *= fade;
      peak[n] = higher;
    }
    for (var s = lane; s < workgroup_size; s += lanes) {
      let value = values[(kv_head * capacity + min(first + s, capacity - 1u)) * chunks + chunk];
      for (var n = 0u; n < queries; n++) {
        let this_score = score[n * workgroup_size + s];
        let weight = select(0.0, exp(this_score - peak[n]), this_score > hidden);
        sum[n] += weight * value;
        mass[n] += weight;
      }
    }
    workgroupBarrier();
  }

  for (var n = 0u; n < queries; n++) {
    sum_of[n * workgroup_size + thread] = sum[n];
    if (chunk == 0u) {
      peak_of[n * lanes + lane] = peak[n];
      mass_of[n * lanes + lane] = mass[n];
    }
  }
  workgroupBarrier();

  for (var i = thread; i < queries * chunks; i += workgroup_size) {
    let n = i / chunks;
    let c = i % chunks;
    let row = block * row_block + n / group_heads;
    if (row >= step.rows) { continue; }
    var top = hidden;
    for (var l = 0u; l < lanes; l++) { top = max(top, peak_of[n * lanes + l]); }
    var total = vec4f();
    var weight = 0.0;
    for (var l = 0u; l < lanes; l++) {
      let fade = exp(peak_of[n * lanes + l] - top);
      total += fade * sum_of[n * workgroup_size + l * chunks + c];
      weight += fade * mass_of[n * lanes + l];
    }
    let place = row * n_heads + kv_head * group_heads + n % group_heads;
    if (splits == 1u) {
      out[place * chunks + c] = select(total / weight, vec4f(), weight == 0.0);
    } else {
      let part = (place * splits + split) * (chunks + 1u);
      out[part + c] = total;
      if (c == 0u) { out[part + chunks] = vec4f(top, weight, 0.0, 0.0); }
    }
  }
}
