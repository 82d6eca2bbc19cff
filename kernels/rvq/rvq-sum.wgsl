// Sums of the centroids that a frame's codes name, semantic and acoustic side by side.
//
//   out[d] = centroid[0, code[0], d],  out[dim + d] = sum over 1 <= l < n_codes of centroid[l, code[l], d]
//
//   codes u32, the first at first_code.  centroids (n_codebooks, dim / 4, bins) vec4f.
//   out: rows of FrameRows (frame-rows.ts) of 2 dim channels, one a frame.  Dispatch (ceil(dim / 2 / workgroup_size), 1, 1).
//
// A code that its codebook does not have adds nothing.
override workgroup_size: u32 = 64;

struct Params { bins: u32, quads: u32, context: u32, n_codebooks: u32 }
struct Frame { n_codes: u32, first_code: u32, pad0: u32, pad1: u32 }

@group(0) @binding(0) var<storage, read> codes: array<u32>;
@group(0) @binding(1) var<storage, read> centroids: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> params: Params;
@group(0) @binding(4) var<uniform> frame: Frame;

fn centroid(codebook: u32, quad: u32) -> vec4f {
  let code = codes[frame.first_code + codebook];
  if (code >= params.bins) { return vec4f(); }
  return centroids[(codebook * params.quads + quad) * params.bins + code];
}

@compute @workgroup_size(workgroup_size)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = 2u * params.quads;
  if (id.x >= width) { return; }
  let quad = id.x % params.quads;
  var sum = vec4f();
  if (id.x < params.quads) {
    if (frame.n_codes > 0u) { sum = centroid(0u, quad); }
  } else {
    for (var l = 1u; l < min(frame.n_codes, params.n_codebooks); l++) { sum += centroid(l, quad); }
  }
  for (var row = 0u; row < params.context; row++) { out[row * width + id.x] = out[(row + 1u) * width + id.x]; }
  out[params.context * width + id.x] = sum;
}
