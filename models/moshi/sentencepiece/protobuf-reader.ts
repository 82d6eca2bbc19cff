/** A message whose bytes are no protocol buffer. */
export class ProtobufFault extends Error {}

/** One field of a message. Which of the values it has depends on how it was written. */
export interface Field {
  number: number;
  /** Of a varint; 0 otherwise. Exact up to 2^53. */
  integer: number;
  /** Of a 32-bit field: its bits as an f32; 0 otherwise. */
  float: number;
  /** Of a length-delimited field: a view of the message; empty otherwise. */
  bytes: Uint8Array;
}

const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;
const NONE = new Uint8Array();

/**
 * The fields of a protocol-buffer message in their order (protobuf.dev/programming-guides/encoding). No length is believed
 * before it is compared with what is there.
 *
 * @throws ProtobufFault
 */
export function* readFields(message: Uint8Array): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const take = (count: number): number => {
    if (count > message.byteLength - at)
      throw new ProtobufFault(`a field ends beyond byte ${message.byteLength}`);
    const start = at;
    at += count;
    return start;
  };
  const varint = (): number => {
    let value = 0;
    // Ten bytes of seven bits hold any 64-bit number.
    for (let group = 0; group < 10; group++) {
      const byte = view.getUint8(take(1));
      value += (byte & 0x7f) * 2 ** (7 * group);
      if (byte < 0x80) return value;
    }
    throw new ProtobufFault("a number of more than ten bytes");
  };
  while (at < message.byteLength) {
    const tag = varint();
    const field: Field = { number: Math.floor(tag / 8), integer: 0, float: 0, bytes: NONE };
    switch (tag % 8) {
      case WIRE.varint:
        field.integer = varint();
        break;
      case WIRE.fixed64:
        take(8);
        break;
      case WIRE.bytes: {
        const count = varint();
        const start = take(count);
        field.bytes = message.subarray(start, start + count);
        break;
      }
      case WIRE.fixed32:
        field.float = view.getFloat32(take(4), true);
        break;
      default:
        throw new ProtobufFault(`a field of kind ${tag % 8}`);
    }
    yield field;
  }
}
