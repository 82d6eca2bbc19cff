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
//   Dispatch (splits, n_kv_heads, ceil(rows (n_heads / n_kv_heads) / 4)).
//
// A query is one head of one row. A workgroup takes four queries of one kv head, each a component of a vec4 or a column
// of a matrix, so that they share the reading of keys and values. It walks the slots in tiles of four a thread: each
// thread scores its four slots, so that they share the reading of the queries; then each takes one vec4 of the values at
// every lanes-th slot of the tile. No thread talks to its neighbours, so the size of subgroups is of no matter, and there
// are two barriers a tile.
override workgroup_size: u32 = 32; // a multiple of head_dim / 4
override n_heads: u32;
override n_kv_heads: u32;
override head_dim: u32;

override group_heads: u32 = n_heads / n_kv_heads;
override chunks: u32 = head_dim / 4u;
override lanes: u32 = workgroup_size / chunks; // threads that share a chunk of the values
override tile: u32 = 4u * workgroup_size;

const position_bits_in_turn = vec4u(6u); // 64 positions a micro-turn
const hidden = vec4f(-3.0e38);           // score of a slot that the row does not see

// What bounds a loop is a uniform, so that a software adapter does not spend seconds on unrolling it.
struct Params {
  threads: u32, chunks: u32, lanes: u32, // as the constants above
  splits: u32,
  capacity: u32,
  perception_slots: u32,
  perception_turns: u32,
  pad: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;
@group(0) @binding(2) var<storage, read> values: array<vec4f>;
@group(0) @binding(3) var<storage, read> slot_positions: array<u32>;
@group(0) @binding(4) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(6) var<uniform> params: Params;
@group(0) @binding(7) var<uniform> step: Step;

var<workgroup> queries: array<mat4x4f, chunks>; // a column a query, scaled by 1 / sqrt(head_dim)
var<workgroup> scores: array<vec4f, tile>;
var<workgroup> tops: array<vec4f, workgroup_size>; // of each thread's scores
var<workgroup> sums: array<mat4x4f, workgroup_size>;
var<workgroup> masses: array<vec4f, lanes>;

// Queries of a kv head are numbered row by row. Those past the end repeat the last row and are not written.
fn row_of(query: u32) -> u32 {
  return min(query / group_heads, step.rows - 1u);
}

// The scores of a slot, hidden from the queries at `position` that do not see it.
fn visible(score: vec4f, slot: u32, position: vec4u) -> vec4f {
  if (slot >= params.capacity) { return hidden; }
  let slot_position = vec4u(slot_positions[slot]);
  let age = (position >> position_bits_in_turn) - (slot_position >> position_bits_in_turn);
  let remembered = vec4<bool>(slot >= params.perception_slots) | (age < vec4u(params.perception_turns));
  return select(hidden, score, (slot_position <= position) & remembered);
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  let split = group.x;
  let kv_head = group.y;
  let first_query = group.z * 4u;
  let chunk = thread % chunks;
  let lane = thread / chunks;

  for (var i = thread; i < 4u * chunks; i += workgroup_size) {
    let query = first_query + i / chunks;
    let head = kv_head * group_heads + query % group_heads;
    let source = (row_of(query) * n_heads + head) * chunks + i % chunks;
    queries[i % chunks][i / chunks] = q[source] * inverseSqrt(f32(head_dim));
  }
  let position = vec4u(
    rows[row_of(first_query)].x, rows[row_of(first_query + 1u)].x,
    rows[row_of(first_query + 2u)].x, rows[row_of(first_query + 3u)].x);
  workgroupBarrier();

  var sum = mat4x4f();
  var peak = hidden;
  var mass = vec4f();
  for (var first = split * tile; first < params.capacity; first += params.splits * tile) {
    let slot = vec4u(first + thread) + vec4u(0u, 1u, 2u, 3u) * workgroup_size;
    let near = min(slot, vec4u(params.capacity - 1u));
    var score = mat4x4f(); // a column a slot
    for (var c = 0u; c < params.chunks; c++) {
      let at = near + (kv_head * chunks + c) * params.capacity;
      let query = queries[c];
      score += mat4x4f(keys[at.x] * query, keys[at.y] * query, keys[at.z] * query, keys[at.w] * query);
    }
    score[0] = visible(score[0], slot.x, position);
    score[1] = visible(score[1], slot.y, position);
    score[2] = visible(score[2], slot.z, position);
    score[3] = visible(score[3], slot.w, position);
    scores[thread] = score[0];
    scores[thread + workgroup_size] = score[1];
    scores[thread + 2u * workgroup_size] = score[2];
    scores[thread + 3u * workgroup_size] = score[3];
    tops[thread] = max(max(score[0], score[1]), max(score[2], score[3]));
    workgroupBarrier();

    // All threads find the same peak.
    var higher = peak;
    for (var t = 0u; t < params.threads; t++) { higher = max(higher, tops[t]); }
    let fade = exp(peak - higher);
    mass *= fade;
    sum = mat4x4f(sum[0] * fade.x, sum[1] * fade.y, sum[2] * fade.z, sum[3] * fade.w);
    peak = higher;
    for (var s = lane; s < tile; s += lanes) {
      let value = values[(kv_head * params.capacity + min(first + s, params.capacity - 1u)) * chunks + chunk];
      let this_score = scores[s];
      let weight = select(vec4f(), exp(this_score - peak), this_score > hidden);
      sum += mat4x4f(value * weight.x, value * weight.y, value * weight.z, value * weight.w);
      mass += weight;
    }
    workgroupBarrier();
  }

  sums[thread] = sum;
  if (chunk == 0u) { masses[lane] = mass; }
  workgroupBarrier();

  for (var i = thread; i < 4u * chunks; i += workgroup_size) {
    let n = i / chunks;
    let c = i % chunks;
    let query = first_query + n;
    if (query >= step.rows * group_heads) { continue; }
    var total = vec4f();
    var weight = 0.0;
    for (var l = 0u; l < params.lanes; l++) {
      total += sums[l * chunks + c][n];
      weight += masses[l][n];
    }
    let place = query / group_heads * n_heads + kv_head * group_heads + query % group_heads;
    if (params.splits == 1u) {
      out[place * chunks + c] = select(total / weight, vec4f(), weight == 0.0);
    } else {
      let part = (place * params.splits + split) * (chunks + 1u);
      out[part + c] = total;
      if (c == 0u) { out[part + chunks] = vec4f(peak[n], weight, 0.0, 0.0); }
    }
  }
}
