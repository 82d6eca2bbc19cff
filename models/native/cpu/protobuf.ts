/**
 * Writes protocol-buffer messages (protobuf.dev/programming-guides/encoding): just the wire types that ONNX needs.
 * Large byte fields are kept by reference and copied once, by `encode`.
 */
export class ProtobufMessage {
  #chunks: Uint8Array[] = [];
  #sizeBytes = 0;

  /** A varint field. Negative numbers take ten bytes, as int64 does. */
  int(field: number, value: number | bigint): this {
    this.#varint(BigInt(field) << 3n);
    this.#varint(BigInt.asUintN(64, BigInt(value)));
    return this;
  }

  /** A 32-bit float field. */
  float(field: number, value: number): this {
    this.#varint((BigInt(field) << 3n) | 5n);
    const chunk = new Uint8Array(4);
    new DataView(chunk.buffer).setFloat32(0, value, true);
    this.#append(chunk);
    return this;
  }

  /** A length-delimited field. `value` is borrowed until `encode` is called. */
  bytes(field: number, value: Uint8Array): this {
    this.#varint((BigInt(field) << 3n) | 2n);
    this.#varint(BigInt(value.byteLength));
    this.#append(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, value: ProtobufMessage): this {
    this.#varint((BigInt(field) << 3n) | 2n);
    this.#varint(BigInt(value.#sizeBytes));
    for (const chunk of value.#chunks) this.#append(chunk);
    return this;
  }

  /** The message's bytes, newly allocated. */
  encode(): Uint8Array {
    const out = new Uint8Array(this.#sizeBytes);
    let offset = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return out;
  }

  #varint(value: bigint): void {
    const bytes: number[] = [];
    let rest = value;
    while (rest >= 0x80n) {
      bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    this.#append(Uint8Array.from(bytes));
  }

  #append(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#sizeBytes += chunk.byteLength;
  }
}
