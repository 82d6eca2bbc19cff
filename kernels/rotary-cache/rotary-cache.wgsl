// Rotates q and k by their tokens' positions, hands q on, and puts k and v where each token's cache slot is.
//
//   angle_j = position * max_period^(-2j / head_dim);  a pair (x, y) becomes (x cos - y sin, x sin + y cos)
//   pairs: (x[2j], x[2j + 1]), or with `halves` (x[j], x[j + head_dim / 2]);  without `rotates` q and k stay as they are
//   qkv (rows, (n_heads + 2 n_kv_heads) head_dim) f32: q, k, v.  q (rows, n_heads head_dim) f32.
//   A row's index names its sequence: kv head g of sequence s is head s n_kv_heads + g of the cache.
//   keys (sequences n_kv_heads, head_dim / 4, capacity, 4) f32.  values (sequences n_kv_heads, capacity, head_dim) f32.
//   slot_positions (capacity) u32: one for all sequences, which step together.
//   Dispatch (ceil(rows (n_heads + 2 n_kv_heads) head_dim / 2 / workgroup_size), 1, 1), one thread a pair.
override workgroup_size: u32 = 64;
override n_heads: u32;
override n_kv_heads: u32;
override head_dim: u32;
override capacity: u32;
override rotates: bool = true;
override halves: bool = false;

struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index
@group(0) @binding(2) var<storage, read> turns: array<vec2u>; // (head_dim / 2): turns a position, as a fraction of 2^64
@group(0) @binding(3) var<storage, read_write> q: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
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

fn key_index(head: u32, dim: u32, slot: u32) -> u32 {
  return ((head * (head_dim / 4u) + dim / 4u) * capacity + slot) * 4u + dim % 4u;
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let pairs = head_dim / 2u;
  let heads = n_heads + 2u * n_kv_heads;
  let row = id.x / (heads * pairs);
  if (row >= step.rows) { return; }
  let head = id.x / pairs % heads;
  let j = id.x % pairs;
  let first = select(2u * j, j, halves);
  let second = select(2u * j + 1u, j + pairs, halves);
  let source = (row * heads + head) * head_dim;
  let x = vec2f(qkv[source + first], qkv[source + second]);
  let position = rows[row].x;
  let slot = rows[row].y;
  let first_kv_head = rows[row].w * n_kv_heads;

  if (head >= n_heads + n_kv_heads) {
    let place = ((first_kv_head + head - n_heads - n_kv_heads) * capacity + slot) * head_dim;
    values[place + first] = x.x;
    values[place + second] = x.y;
    return;
  }

  var rotated = x;
  if (rotates) {
    // Whole turns run over and are gone, so that the angle is as good at any position.
    let rate = turns[j];
    let angle = cos_sin(position * rate.y + multiply_high(position, rate.x));
    rotated = vec2f(x.x * angle.x - x.y * angle.y, x.x * angle.y + x.y * angle.x);
  }
  if (head < n_heads) {
    let place = (row * n_heads + head) * head_dim;
    q[place + first] = rotated.x;
    q[place + second] = rotated.y;
    return;
  }
  let kv_head = first_kv_head + head - n_heads;
  keys[key_index(kv_head, first, slot)] = rotated.x;
  keys[key_index(kv_head, second, slot)] = rotated.y;
  // The slots' positions are one array for all layers. Every layer writes the same, so that none is special.
  if (head == n_heads && j == 0u) { slot_positions[slot] = position; }
}
