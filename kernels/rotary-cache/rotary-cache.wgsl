// Rotates q and k by their tokens' positions, hands q on, and puts k and v where each token's cache slot is.
//
//   angle_j = position * max_period^(-2j / head_dim);  a pair (x, y) becomes (x cos - y sin, x sin + y cos)
//   pairs: (x[2j], x[2j + 1]), or with `halves` (x[j], x[j + head_dim / 2]);  without `rotates` q and k stay as they are
//   qkv (rows, (n_heads + 2 n_kv_heads) head_dim) f32: q, k, v.  q (rows, n_heads head_dim) f32.
//   A row's index names its sequence: kv head g of sequence s is head s n_kv_heads + g of the cache.
//   keys (sequences n_kv_heads, head_dim / 4, capacity, 4) and values (sequences n_kv_heads, capacity, head_dim): f32, or
//   with `half_cache` f16, two in a word with the first in the lower bits.
//   slot_positions (capacity) u32: one for all sequences, which step together.
//   Dispatch (ceil(rows (n_heads + 2 n_kv_heads) head_dim / 4 / workgroup_size), 1, 1), one thread two pairs: the two whose
//   elements are neighbours, so that a word of halves is one thread's.
override workgroup_size: u32 = 64;
override n_heads: u32;
override n_kv_heads: u32;
override head_dim: u32;
override capacity: u32;
override rotates: bool = true;
override halves: bool = false;     // the layout of pairs
override half_cache: bool = false; // the format of the cache

struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<vec2f>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index
@group(0) @binding(2) var<storage, read> turns: array<vec2u>; // (head_dim / 2): turns a position, as a fraction of 2^64
@group(0) @binding(3) var<storage, read_write> q: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> keys: array<u32>;
@group(0) @binding(5) var<storage, read_write> values: array<u32>;
@group(0) @binding(6) var<storage, read_write> slot_positions: array<u32>;
@group(0) @binding(7) var<uniform> step: Step;

// The upper half of a 64-bit product.
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

// cos and sin of 2 pi turn / 2^32, to 1e-7: WGSL allows its own cos and sin an error of 2^-11.
fn cos_sin(turn: u32) -> vec2f {
  let quadrant = (turn + 0x20000000u) >> 30u;
  let x = f32(bitcast<i32>(turn - (quadrant << 30u))) * 1.4629180792671596e-9; // in [-pi/4, pi/4]
  let z = x * x;
  let c = 1.0 + z * (-1.0 / 2.0 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0 - z / 3628800.0))));
  let s = x * (1.0 + z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z / 362880.0))));
  let even = select(vec2f(c, s), vec2f(-s, c), (quadrant & 1u) == 1u);
  return select(even, -even, (quadrant & 2u) == 2u);
}

// (x, y) of pair j turned by the angle of `position`. Whole turns run over and are gone, so that the angle is as good at
// any position.
fn turned(pair: vec2f, j: u32, position: u32) -> vec2f {
  if (!rotates) { return pair; }
  let rate = turns[j];
  let angle = cos_sin(position * rate.y + multiply_high(position, rate.x));
  return vec2f(pair.x * angle.x - pair.y * angle.y, pair.x * angle.y + pair.y * angle.x);
}

// A word of two halves. What is beyond their range stands at its end.
fn packed(x: vec2f) -> u32 {
  return pack2x16float(clamp(x, vec2f(-65504.0), vec2f(65504.0)));
}

// Puts two neighbouring elements away, of which `at` is the first.
fn put_key(at: u32, x: vec2f) {
  if (half_cache) {
    keys[at / 2u] = packed(x);
  } else {
    keys[at] = bitcast<u32>(x.x);
    keys[at + 1u] = bitcast<u32>(x.y);
  }
}

fn put_value(at: u32, x: vec2f) {
  if (half_cache) {
    values[at / 2u] = packed(x);
  } else {
    values[at] = bitcast<u32>(x.x);
    values[at + 1u] = bitcast<u32>(x.y);
  }
}

fn key_index(head: u32, dim: u32, slot: u32) -> u32 {
  return ((head * (head_dim / 4u) + dim / 4u) * capacity + slot) * 4u + dim % 4u;
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quads = head_dim / 4u;
  let heads = n_heads + 2u * n_kv_heads;
  let row = id.x / (heads * quads);
  if (row >= step.rows) { return; }
  let head = id.x / quads % heads;
  let j = 2u * (id.x % quads);
  // Elements first, first + 1, second and second + 1 are pairs j and j + 1: side by side or, with `halves`, across.
  let first = select(2u * j, j, halves);
  let second = select(2u * j + 2u, j + head_dim / 2u, halves);
  let source = (row * heads + head) * head_dim;
  var low = qkv[(source + first) / 2u];
  var high = qkv[(source + second) / 2u];
  let position = rows[row].x;
  let slot = rows[row].y;
  let first_kv_head = rows[row].w * n_kv_heads;

  if (head >= n_heads + n_kv_heads) {
    let place = ((first_kv_head + head - n_heads - n_kv_heads) * capacity + slot) * head_dim;
    put_value(place + first, low);
    put_value(place + second, high);
    return;
  }

  if (halves) {
    let even = turned(vec2f(low.x, high.x), j, position);
    let odd = turned(vec2f(low.y, high.y), j + 1u, position);
    low = vec2f(even.x, odd.x);
    high = vec2f(even.y, odd.y);
  } else {
    low = turned(low, j, position);
    high = turned(high, j + 1u, position);
  }
  if (head < n_heads) {
    let place = (row * n_heads + head) * head_dim;
    q[(place + first) / 2u] = low;
    q[(place + second) / 2u] = high;
    return;
  }
  let kv_head = first_kv_head + head - n_heads;
  put_key(key_index(kv_head, first, slot), low);
  put_key(key_index(kv_head, second, slot), high);
  // The slots' positions are one array for all layers. Every layer writes the same, so that none is special.
  if (head == n_heads && j == 0u) { slot_positions[slot] = position; }
}
