// Sum of the embeddings of several tokens, each from a table of its own.
//
//   out[r, c] = base[r, c] + sum over entries of table[first_row + digit(tokens[slot]), c]
//   digit(token) = token, or with a radix token mod radix (digit 0) or floor(token / radix) - 1 (digit 1).
//   A token or a digit below 0 adds nothing. The same tokens for every row.
//   tokens i32.  table (rows of all tables, cols): entry points f32_table and f16_table; of it this part holds rows
//   [part_start, part_start + part_rows), and other rows add nothing.  base, out (rows, cols) f32, row-major.
//   Dispatch (ceil(cols / 4 / workgroup_size), rows, 1), one thread four columns.
override workgroup_size: u32 = 64;

struct Entry { slot: u32, first_row: u32, radix: u32, digit: u32 }
struct Params {
  words: u32, // cols / 4
  n_entries: u32,
  part_start: u32,
  part_rows: u32,
  adds_base: u32,
  accumulate: u32, // adds to what `out` holds
  pad0: u32, pad1: u32,
}
struct Step { rows: u32, pad0: u32, pad1: u32, pad2: u32 }

@group(0) @binding(0) var<storage, read> tokens: array<i32>;
@group(0) @binding(1) var<storage, read> entries: array<Entry>;
@group(0) @binding(2) var<storage, read> in_f32: array<vec4f>;
@group(0) @binding(2) var<storage, read> in_f16: array<vec2u>; // 4 halves
@group(0) @binding(3) var<storage, read> base: array<vec4f>;   // not read unless `adds_base`
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(5) var<uniform> params: Params;
@group(0) @binding(6) var<uniform> step: Step;

// Row of this part that entry i adds, or part_rows where it adds none.
fn row_of(i: u32) -> u32 {
  let entry = entries[i];
  var token = tokens[entry.slot];
  if (token < 0) { return params.part_rows; }
  if (entry.radix != 0u) {
    let radix = i32(entry.radix);
    token = select(token % radix, token / radix - 1, entry.digit == 1u);
    if (token < 0) { return params.part_rows; }
  }
  // Rows before this part wrap round to large numbers.
  return min(entry.first_row + u32(token) - params.part_start, params.part_rows);
}

fn finish(row: u32, word: u32, sum: vec4f) {
  let at = row * params.words + word;
  var start = vec4f();
  if (params.adds_base != 0u) { start = base[at]; }
  if (params.accumulate != 0u) { start = out[at]; }
  out[at] = start + sum;
}

@compute @workgroup_size(workgroup_size)
fn f32_table(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.words || id.y >= step.rows) { return; }
  var sum = vec4f();
  for (var i = 0u; i < params.n_entries; i++) {
    let row = row_of(i);
    if (row < params.part_rows) { sum += in_f32[row * params.words + id.x]; }
  }
  finish(id.y, id.x, sum);
}

@compute @workgroup_size(workgroup_size)
fn f16_table(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.words || id.y >= step.rows) { return; }
  var sum = vec4f();
  for (var i = 0u; i < params.n_entries; i++) {
    let row = row_of(i);
    if (row < params.part_rows) {
      let bits = in_f16[row * params.words + id.x];
      sum += vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
    }
  }
  finish(id.y, id.x, sum);
}
