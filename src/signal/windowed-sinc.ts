/** Zero crossings of a resampling filter on each side of its centre, at the lower of the two rates. */
export const CROSSINGS = 24;
/** Kaiser window shape: side lobes below about -80 dB. */
const KAISER_BETA = 8;

/** sin(pi x) / (pi x): the ideal low-pass filter. */
export function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Kaiser window at x in [-1, 1]; 0 outside. */
export function kaiser(x: number): number {
  return Math.abs(x) >= 1 ? 0 : besselI0(KAISER_BETA * Math.sqrt(1 - x * x)) / besselI0(KAISER_BETA);
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
