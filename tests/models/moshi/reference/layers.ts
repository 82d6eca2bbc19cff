/** The layers of the network as plain sums in double precision. Nothing here is made fast. */

/** What a network's tensors are looked up by: their published names. Values row-major. */
export type Weights = (name: string) => ArrayLike<number>;

export type Vector = Float64Array;

/** rows [start, start + rows) of a (?, cols) matrix times x. */
export function linear(weight: ArrayLike<number>, x: Vector, rows: number, start = 0): Vector {
  const cols = x.length;
  const out = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < cols; c++) sum += weight[(start + r) * cols + c]! * x[c]!;
    out[r] = sum;
  }
  return out;
}

export function add(a: Vector, b: ArrayLike<number>): Vector {
  if (a.length !== b.length) throw new Error(`add: ${a.length} and ${b.length} elements`);
  return a.map((value, i) => value + b[i]!);
}

/** One row of an embedding table; zeros for the token -1. */
export function row(table: ArrayLike<number>, token: number, width: number): Vector {
  const out = new Float64Array(width);
  if (token === -1) return out;
  if (token < 0 || (token + 1) * width > table.length) throw new Error(`no embedding of token ${token}`);
  for (let c = 0; c < width; c++) out[c] = table[token * width + c]!;
  return out;
}

/** x * alpha / sqrt(mean(x^2) + 1e-8): "rms_norm_f32". */
export function rmsNorm(x: Vector, alpha: ArrayLike<number>): Vector {
  const meanSquare = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, i) => (value * alpha[i]!) / Math.sqrt(meanSquare + 1e-8));
}

/** With eps 1e-5, weight and bias. */
export function layerNorm(x: Vector, weight: ArrayLike<number>, bias: ArrayLike<number>): Vector {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * weight[i]! + bias[i]!);
}

export function softmax(x: Vector): Vector {
  const max = x.reduce((a, b) => Math.max(a, b), -Infinity);
  const exps = x.map((value) => Math.exp(value - max));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((value) => value / sum);
}

/** linear_out(silu(gate) * value): the gate is the first half of linear_in's rows. */
export function gatedMlp(
  x: Vector,
  linearIn: ArrayLike<number>,
  linearOut: ArrayLike<number>,
  width: number,
): Vector {
  const both = linear(linearIn, x, 2 * width);
  const hidden = new Float64Array(width);
  for (let i = 0; i < width; i++) {
    const gate = both[i]!;
    hidden[i] = (gate / (1 + Math.exp(-gate))) * both[width + i]!;
  }
  return linear(linearOut, hidden, x.length);
}

/** Turns each head of x by the angles of its position, in place. */
export function rotate(
  x: Vector,
  position: number,
  headDim: number,
  maxPeriod: number,
  halves: boolean,
): void {
  for (let start = 0; start < x.length; start += headDim) {
    for (let j = 0; j < headDim / 2; j++) {
      const angle = position * maxPeriod ** ((-2 * j) / headDim);
      const a = start + (halves ? j : 2 * j);
      const b = start + (halves ? j + headDim / 2 : 2 * j + 1);
      const [re, im] = [x[a]!, x[b]!];
      x[a] = re * Math.cos(angle) - im * Math.sin(angle);
      x[b] = re * Math.sin(angle) + im * Math.cos(angle);
    }
  }
}

/** Every head of q over all of the given keys; head n reads key head n // kvRepeat. */
export function attention(
  q: Vector,
  keys: readonly Vector[],
  values: readonly Vector[],
  nHeads: number,
  kvRepeat = 1,
): Vector {
  const headDim = q.length / nHeads;
  const out = new Float64Array(q.length);
  for (let head = 0; head < nHeads; head++) {
    const at = head * headDim;
    const kvAt = Math.floor(head / kvRepeat) * headDim;
    const scores = Float64Array.from(keys, (key) => {
      let sum = 0;
      for (let c = 0; c < headDim; c++) sum += q[at + c]! * key[kvAt + c]!;
      return sum / Math.sqrt(headDim);
    });
    for (const [j, weight] of softmax(scores).entries()) {
      for (let c = 0; c < headDim; c++) out[at + c]! += weight * values[j]![kvAt + c]!;
    }
  }
  return out;
}
