/**
 * CRC-16/CCITT-FALSE, CRC-16/IBM-3740 in the catalogue of parametrised CRC algorithms
 * (https://reveng.sourceforge.io/crc-catalogue/16.htm): width 16, polynomial 0x1021, initial value 0xFFFF, nothing
 * reflected, no final XOR. Its check value, that of the nine bytes "123456789", is 0x29B1.
 */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc;
}
