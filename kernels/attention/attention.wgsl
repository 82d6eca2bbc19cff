// Attention of new queries over the whole cache, or over one of `splits` parts of it (attention-merge then joins them).
//
//   out[r, h] = sum over slots s of p_s value[g, s],  p = softmax of q[r, h] . key[g, s] / sqrt(head_dim) over the
//   slots that row r sees,  g = h / (n_heads / n_kv_heads).  Row r at position P sees a slot at position p if p <= P
//   and, in the first `perception_slots` slots, P / 64 - p / 64 < perception_turns (whole micro-turns).
//   An empty slot is at position 2^32 - 1.  A row that sees nothing gets zeros.
//   q (rows, n_heads, head_dim) f32.  keys (n_kv_heads, head_dim / 4, capacity, 4) and values
//   (n_kv_heads, capacity, head_dim): entry points f32 and f16.  All arithmetic is in f32.
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
@group(0) @binding(1) var<storage, read> keys_f32: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys_f16: array<vec2u>; // 4 halves
@group(0) @binding(2) var<storage, read> values_f32: array<vec4f>;
@group(0) @binding(2) var<storage, read> values_f16: array<vec2u>;
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

fn halves(bits: vec2u) -> vec4f { return vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y)); }

// Queries of a kv head are numbered row by row. Those past the end repeat the last row and are not written.
fn row_of(query: u32) -> u32 {
  return min(query / group_heads, step.rows - 1u);
}

// Brings the workgroup's four queries to `queries` and returns their positions.
fn load_queries(group: vec3u, thread: u32) -> vec4u {
  let first_query = group.z * 4u;
  for (var i = thread; i < 4u * chunks; i += workgroup_size) {
    let query = first_query + i / chunks;
    let head = group.y * group_heads + query % group_heads;
    let source = (row_of(query) * n_heads + head) * chunks + i % chunks;
    queries[i % chunks][i / chunks] = q[source] * inverseSqrt(f32(head_dim));
  }
  workgroupBarrier();
  return vec4u(
    rows[row_of(first_query)].x, rows[row_of(first_query + 1u)].x,
    rows[row_of(first_query + 2u)].x, rows[row_of(first_query + 3u)].x);
}

// The thread's four slots of the tile that begins at `first`. Those past the end are not seen.
fn slots_of(first: u32, thread: u32) -> vec4u {
  return vec4u(first + thread) + vec4u(0u, 1u, 2u, 3u) * workgroup_size;
}

// Where chunk `c` of the keys of the thread's slots is. Slots past the end repeat the last one.
fn keys_at(first: u32, thread: u32, kv_head: u32, c: u32) -> vec4u {
  let near = min(slots_of(first, thread), vec4u(params.capacity - 1u));
  return near + (kv_head * chunks + c) * params.capacity;
}

// Where the thread's chunk of the values of slot `s` of the tile is.
fn value_at(first: u32, thread: u32, kv_head: u32, s: u32) -> u32 {
  return (kv_head * params.capacity + min(first + s, params.capacity - 1u)) * chunks + thread % chunks;
}

// The scores of a slot, hidden from the queries at `position` that do not see it.
fn visible(score: vec4f, slot: u32, position: vec4u) -> vec4f {
  if (slot >= params.capacity) { return hidden; }
  let slot_position = vec4u(slot_positions[slot]);
  let age = (position >> position_bits_in_turn) - (slot_position >> position_bits_in_turn);
  let remembered = vec4<bool>(slot >= params.perception_slots) | (age < vec4u(params.perception_turns));
  return select(hidden, score, (slot_position <= position) & remembered);
}

// What a thread has gathered so far: per query, as columns or components.
struct Gathered { sum: mat4x4f, peak: vec4f, mass: vec4f }

// Shares the scores of the tile, a column a slot of the thread's, and brings what was gathered to the new peak.
fn share(gathered: ptr<function, Gathered>, score: mat4x4f, first: u32, thread: u32, position: vec4u) {
  let slot = slots_of(first, thread);
  let seen = mat4x4f(
    visible(score[0], slot.x, position), visible(score[1], slot.y, position),
    visible(score[2], slot.z, position), visible(score[3], slot.w, position));
  scores[thread] = seen[0];
  scores[thread + workgroup_size] = seen[1];
  scores[thread + 2u * workgroup_size] = seen[2];
  scores[thread + 3u * workgroup_size] = seen[3];
  tops[thread] = max(max(seen[0], seen[1]), max(seen[2], seen[3]));
  workgroupBarrier();

  // All threads find the same peak.
  var higher = (*gathered).peak;
  for (var t = 0u; t < params.threads; t++) { higher = max(higher, tops[t]); }
  let fade = exp((*gathered).peak - higher);
  (*gathered).mass *= fade;
  let sum = (*gathered).sum;
  (*gathered).sum = mat4x4f(sum[0] * fade.x, sum[1] * fade.y, sum[2] * fade.z, sum[3] * fade.w);
  (*gathered).peak = higher;
}

// Adds the value of slot `s` of the tile.
fn gather(gathered: ptr<function, Gathered>, value: vec4f, s: u32) {
  let score = scores[s];
  let weight = select(vec4f(), exp(score - (*gathered).peak), score > hidden);
  (*gathered).sum += mat4x4f(value * weight.x, value * weight.y, value * weight.z, value * weight.w);
  (*gathered).mass += weight;
}

// Adds up what the lanes have gathered and writes it.
fn finish(gathered: ptr<function, Gathered>, group: vec3u, thread: u32) {
  sums[thread] = (*gathered).sum;
  if (thread % chunks == 0u) { masses[thread / chunks] = (*gathered).mass; }
  workgroupBarrier();

  for (var i = thread; i < 4u * chunks; i += workgroup_size) {
    let n = i / chunks;
    let c = i % chunks;
    let query = group.z * 4u + n;
    if (query >= step.rows * group_heads) { continue; }
    var total = vec4f();
    var weight = 0.0;
    for (var l = 0u; l < params.lanes; l++) {
      total += sums[l * chunks + c][n];
      weight += masses[l][n];
    }
    let place = query / group_heads * n_heads + group.y * group_heads + query % group_heads;
    if (params.splits == 1u) {
      out[place * chunks + c] = select(total / weight, vec4f(), weight == 0.0);
    } else {
      let part = (place * params.splits + group.x) * (chunks + 1u);
      out[part + c] = total;
      if (c == 0u) { out[part + chunks] = vec4f((*gathered).peak[n], weight, 0.0, 0.0); }
    }
  }
}

@compute @workgroup_size(workgroup_size)
fn f32_cache(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  let position = load_queries(group, thread);
  var gathered = Gathered(mat4x4f(), hidden, vec4f());
  for (var first = group.x * tile; first < params.capacity; first += params.splits * tile) {
    var score = mat4x4f();
    for (var c = 0u; c < params.chunks; c++) {
      let at = keys_at(first, thread, group.y, c);
      let query = queries[c];
      score += mat4x4f(
        keys_f32[at.x] * query, keys_f32[at.y] * query, keys_f32[at.z] * query, keys_f32[at.w] * query);
    }
    share(&gathered, score, first, thread, position);
    for (var s = thread / chunks; s < tile; s += lanes) {
      gather(&gathered, values_f32[value_at(first, thread, group.y, s)], s);
    }
    workgroupBarrier();
  }
  finish(&gathered, group, thread);
}

@compute @workgroup_size(workgroup_size)
fn f16_cache(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (step.rows == 0u) { return; }
  let position = load_queries(group, thread);
  var gathered = Gathered(mat4x4f(), hidden, vec4f());
  for (var first = group.x * tile; first < params.capacity; first += params.splits * tile) {
    var score = mat4x4f();
    for (var c = 0u; c < params.chunks; c++) {
      let at = keys_at(first, thread, group.y, c);
      let query = queries[c];
      score += mat4x4f(
        halves(keys_f16[at.x]) * query, halves(keys_f16[at.y]) * query,
        halves(keys_f16[at.z]) * query, halves(keys_f16[at.w]) * query);
    }
    share(&gathered, score, first, thread, position);
    for (var s = thread / chunks; s < tile; s += lanes) {
      gather(&gathered, halves(values_f16[value_at(first, thread, group.y, s)]), s);
    }
    workgroupBarrier();
  }
  finish(&gathered, group, thread);
}
