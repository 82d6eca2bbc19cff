// Joins the parts of a split attention.
//
//   out[r, h] = (sum over parts of exp(peak - top) sum) / (sum over parts of exp(peak - top) mass),  top = max of peaks
//   parts (rows, n_heads, splits, head_dim / 4 + 1) vec4f, as attention.wgsl writes them.  out (rows, n_heads, head_dim).
//   Dispatch (ceil(rows n_heads head_dim / 4 / workgroup_size), 1, 1), one thread a vec4 of the output.
override workgroup_size: u32 = 64;
override n_heads: u32;
override head_dim: u32;
override chunks: u32 = head_dim / 4u;

struct Params { splits: u32, pad0: u32, pad1: u32, pad2: u32 }
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> parts: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(workgroup_size)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let place = id.x / chunks;
  let chunk = id.x % chunks;
  if (place >= step.rows * n_heads) { return; }
  var top = -3.0e38;
  for (var s = 0u; s < params.splits; s++) { top = max(top, parts[(place * params.splits + s) * (chunks + 1u) + chunks].x); }
  var total = vec4f();
  var weight = 0.0;
  for (var s = 0u; s < params.splits; s++) {
    let part = (place * params.splits + s) * (chunks + 1u);
    let peak_and_mass = parts[part + chunks];
    let fade = exp(peak_and_mass.x - top);
    total += fade * parts[part + chunk];
    weight += fade * peak_and_mass.y;
  }
  out[id.x] = select(total / weight, vec4f(), weight == 0.0);
}
