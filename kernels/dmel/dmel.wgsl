// dMel levels of sound: one frame of 1600 samples every 800.
//
//   X[k] = sum over n of hann[n] x[n] e^(-2 pi i n k / 1600), k = 0..800;  m[k] = sqrt(max(|X[k]|^2, 1e-10))
//   v = clamp(log10(max(sum over k of filter[c, k] m[k], 1e-10)), -7, 2)
//   level = the nearest of linspace(-7, 2, 16), a tie to the lower
//   pcm (800 + 800 frames) f32.  levels (frames, 80) u32 in 0..15.  Dispatch (frames, 1, 1).
//
// The transform is two passes over 1600 = 40 x 40. With n = 40 a + b and p = k mod 40,
//   A[p, b] = sum over a of x[40 a + b] W^(40 a p),   X[k] = sum over b of A[p, b] W^(b k),   W = e^(-2 pi i / 1600).
override workgroup_size: u32 = 128;

const window = 1600u;
const hop = 800u;
const bins = 801u;
const side = 40u;
const n_mels = 80u;

struct Filter { first_bin: u32, n_bins: u32, first_weight: u32 }

@group(0) @binding(0) var<storage, read> pcm: array<f32>;
@group(0) @binding(1) var<storage, read> turns: array<vec2f>;     // (1600) e^(-2 pi i n / 1600)
@group(0) @binding(2) var<storage, read> filters: array<Filter>;  // (80) the bins under each triangle
@group(0) @binding(3) var<storage, read> weights: array<f32>;     // their weights, one filter after the other
@group(0) @binding(4) var<storage, read_write> levels: array<u32>;

var<workgroup> first_pass: array<vec2f, window>;
var<workgroup> magnitude: array<f32, bins>;

@compute @workgroup_size(workgroup_size)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let frame = group.x;

  for (var i = thread; i < window; i += workgroup_size) {
    let p = i / side;
    let b = i % side;
    var sum = vec2f();
    for (var a = 0u; a < side; a++) {
      let n = side * a + b;
      let hann = 0.5 - 0.5 * turns[n].x;
      sum += hann * pcm[frame * hop + n] * turns[side * (a * p % side)];
    }
    first_pass[i] = sum;
  }
  workgroupBarrier();

  for (var k = thread; k < bins; k += workgroup_size) {
    var sum = vec2f();
    for (var b = 0u; b < side; b++) {
      let x = first_pass[k % side * side + b];
      let w = turns[b * k % window];
      sum += vec2f(x.x * w.x - x.y * w.y, x.x * w.y + x.y * w.x);
    }
    magnitude[k] = sqrt(max(dot(sum, sum), 1e-10));
  }
  workgroupBarrier();

  for (var c = thread; c < n_mels; c += workgroup_size) {
    let mel_filter = filters[c];
    var sum = 0.0;
    for (var i = 0u; i < mel_filter.n_bins; i++) {
      sum += weights[mel_filter.first_weight + i] * magnitude[mel_filter.first_bin + i];
    }
    let value = clamp(log2(max(sum, 1e-10)) * 0.30102999566398120, -7.0, 2.0);
    levels[frame * n_mels + c] = u32(clamp(ceil((value + 7.0) / 0.6 - 0.5), 0.0, 15.0));
  }
}
