// Rotates q and k by their tokens' positions, hands q on, and puts k and v where each token's cache slot is.
//
//   turn_i = (position mod 2^l_i) / 2^l_i,  l = rotary_log2;  pairs (x[i], x[i + head_dim / 2])
//   x'[i]                = x[i] cos(2 pi turn_i) - x[i + head_dim / 2] sin(2 pi turn_i)
//   x'[i + head_dim / 2] = x[i + head_dim / 2] cos(2 pi turn_i) + x[i] sin(2 pi turn_i)
//   qkv (rows, (n_heads + 2 n_kv_heads) head_dim) f32: q, k, v.  q (rows, n_heads head_dim) f32, rotated.
//   keys (n_kv_heads, head_dim / 4, capacity, 4) f32: what attention's lanes, one a slot, read side by side.
//   values (n_kv_heads, capacity, head_dim) f32.  slot_positions (capacity) u32.
//   Dispatch (ceil(rows (n_heads + 2 n_kv_heads) head_dim / 2 / workgroup_size), 1, 1), one thread a pair.
override workgroup_size: u32 = 64;
override n_heads: u32;
override n_kv_heads: u32;
override head_dim: u32;
override capacity: u32;

struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<vec4u>; // position, cache slot, kind, index
@group(0) @binding(2) var<storage, read> rotary_log2: array<u32>;
@group(0) @binding(3) var<storage, read_write> q: array<f32>;
@group(0) @binding(4) var<storage, read_write> keys: array<f32>;
@group(0) @binding(5) var<storage, read_write> values: array<f32>;
@group(0) @binding(6) var<storage, read_write> slot_positions: array<u32>;
@group(0) @binding(7) var<uniform> step: Step;

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

fn key_index(kv_head: u32, dim: u32, slot: u32) -> u32 {
  return ((kv_head * (head_dim / 4u) + dim / 4u) * capacity + slot) * 4u + dim % 4u;
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let half = head_dim / 2u;
  let heads = n_heads + 2u * n_kv_heads;
  let row = id.x / (heads * half);
  if (row >= step.rows) { return; }
  let head = id.x / half % heads;
  let i = id.x % half;
  let source = (row * heads + head) * head_dim + i;
  let x = vec2f(qkv[source], qkv[source + half]);
  let position = rows[row].x;
  let slot = rows[row].y;

  if (head >= n_heads + n_kv_heads) {
    let place = ((head - n_heads - n_kv_heads) * capacity + slot) * head_dim + i;
    values[place] = x.x;
    values[place + half] = x.y;
    return;
  }

  // The position modulo 2^l as a fraction of 2^32: the shift drops the whole turns. A shift by 32 is not defined.
  let log2_period = rotary_log2[i];
  let turn = select(position << (32u - log2_period), 0u, log2_period == 0u);
  let angle = cos_sin(turn);
  let rotated = vec2f(x.x * angle.x - x.y * angle.y, x.y * angle.x + x.x * angle.y);
  if (head < n_heads) {
    let place = (row * n_heads + head) * head_dim + i;
    q[place] = rotated.x;
    q[place + half] = rotated.y;
  } else {
    keys[key_index(head - n_heads, i, slot)] = rotated.x;
    keys[key_index(head - n_heads, i + half, slot)] = rotated.y;
  }
  // The slots' positions are one array for all layers. Every layer writes the same, so that none is special.
  if (head == 0u && i == 0u) { slot_positions[slot] = position; }
}
