// Nearest centroids of a split residual vector quantiser, one level a dispatch.
//
//   code[0] = nearest(0, latents[0]);  r_1 = latents[1]
//   code[l] = nearest(l, r_l),  r_(l+1) = r_l - centroid[l, code[l]]   for l >= 1
//   nearest(l, r) = the lowest i of those with the least sum over d of (r[d] - centroid[l, i, d])^2
//
//   latents (2, dim) f32.  centroids (n_codebooks, dim / 4, bins) vec4f.  codes (n_codebooks) u32.
//   residuals (2, dim) f32 and nearest (3, groups): what one dispatch leaves to the next, by turns; the third row of
//   nearest is the semantic codebook's.
//   search, round 0: codebooks 0 and 1, dispatch (groups, 1 or 2, 1); round r >= 1: codebook r + 1, dispatch (groups, 1, 1).
//   settle, after the last round: the codes that are still open, dispatch (1, 1, 1).  groups = ceil(bins / workgroup_size).
//
// A thread measures one centroid. Each workgroup leaves its nearest one; the next dispatch begins by finding the nearest of
// those, in every workgroup again, so that a level needs no dispatch of its own for it.
override workgroup_size: u32 = 64;
override max_quads: u32; // dim / 4

struct Params { round: u32, bins: u32, quads: u32, groups: u32, threads: u32, n_codebooks: u32, pad0: u32, pad1: u32 }
struct Nearest { distance: f32, index: u32 }

@group(0) @binding(0) var<storage, read> latents: array<vec4f>;
@group(0) @binding(1) var<storage, read> centroids: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> residuals: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> nearest: array<Nearest>;
@group(0) @binding(4) var<storage, read_write> codes: array<u32>;
@group(0) @binding(5) var<uniform> params: Params;

var<workgroup> residual: array<vec4f, max_quads>;
var<workgroup> candidates: array<Nearest, workgroup_size>;

const semantic_row = 2u;
const none = Nearest(3.0e38, 0u); // where every distance is NaN, centroid 0 is as good as any

// Candidates come in the order of their indices, so a tie stays with the lowest.
fn nearer(best: Nearest, candidate: Nearest) -> Nearest {
  if (candidate.distance < best.distance) { return candidate; }
  return best;
}

// The code that the groups' candidates in a row of `nearest` amount to.
fn code_of(row: u32) -> u32 {
  var best = none;
  for (var i = 0u; i < params.groups; i++) { best = nearer(best, nearest[row * params.groups + i]); }
  return best.index;
}

@compute @workgroup_size(workgroup_size)
fn search(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let round = params.round;
  let codebook = round + group.y + select(1u, 0u, round == 0u);
  let row = select(round % 2u, semantic_row, codebook == 0u);
  if (round == 0u) {
    for (var i = thread; i < params.quads; i += workgroup_size) { residual[i] = latents[group.y * params.quads + i]; }
    if (codebook == 1u && group.x == 0u) {
      for (var i = thread; i < params.quads; i += workgroup_size) { residuals[i] = latents[params.quads + i]; }
    }
  } else {
    let code = code_of(1u - row);
    for (var i = thread; i < params.quads; i += workgroup_size) {
      let left = residuals[(1u - row) * params.quads + i] - centroids[(round * params.quads + i) * params.bins + code];
      residual[i] = left;
      if (group.x == 0u) { residuals[row * params.quads + i] = left; }
    }
    if (group.x == 0u && thread == 0u) { codes[round] = code; }
  }
  workgroupBarrier();

  let index = group.x * params.threads + thread;
  var own = none;
  if (index < params.bins) {
    var distance = 0.0;
    for (var i = 0u; i < params.quads; i++) {
      let difference = residual[i] - centroids[(codebook * params.quads + i) * params.bins + index];
      distance += dot(difference, difference);
    }
    own = Nearest(distance, index);
  }
  candidates[thread] = own;
  workgroupBarrier();
  if (thread != 0u) { return; }
  var best = none;
  for (var i = 0u; i < params.threads; i++) { best = nearer(best, candidates[i]); }
  nearest[row * params.groups + group.x] = best;
}

@compute @workgroup_size(1)
fn settle() {
  codes[0] = code_of(semantic_row);
  if (params.n_codebooks > 1u) { codes[params.n_codebooks - 1u] = code_of(params.round % 2u); }
}
