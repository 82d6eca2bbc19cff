/** "82.4 %", or "-" where nothing was measured. */
export function percent(share: number | null): string {
  return share === null ? "-" : `${(share * 100).toFixed(1)} %`;
}

/** "0.31", or "-" where nothing was measured. */
export function twoDigits(value: number | null): string {
  return value === null ? "-" : value.toFixed(2);
}
