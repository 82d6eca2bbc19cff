const word = new DataView(new ArrayBuffer(4));

/** The bits of the nearest IEEE half, a tie to the even one; what is too large becomes infinite. */
export function toHalf(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal half the spacing is 2^-24, whatever the exponent.
    return sign | roundToEven(Math.abs(Math.fround(value)) * 2 ** 24);
  }
  // The exponent is rebased by 112; a carry out of the rounded mantissa raises it, up to infinity.
  return sign | roundToEven((magnitude - 0x38000000) / 2 ** 13);
}

/** The same of each value. */
export function toHalves(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) halves[i] = toHalf(values[i]!);
  return halves;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
}

/** The value of an IEEE half's bits. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
