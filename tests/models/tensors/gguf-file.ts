/** What a GGUF file may begin with, right or wrong. */
export interface GgufParts {
  magic?: string;
  version?: number;
  /** Default: as many as there are. */
  nTensors?: bigint;
  nMetadata?: bigint;
  /** Whole key-value pairs. */
  metadata?: readonly Uint8Array[];
  tensors?: readonly { name: string; dims: readonly bigint[]; type: number; offset: bigint }[];
  alignment?: number;
  data?: Uint8Array;
}

/** The bytes of a GGUF file (little-endian; docs/gguf.md of ggml): data begin at a multiple of `alignment`. */
export function ggufFile(parts: GgufParts): Buffer {
  const { tensors = [], metadata = [], data = new Uint8Array(0) } = parts;
  const head = Buffer.concat([
    Buffer.from(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.nTensors ?? BigInt(tensors.length)),
    u64(parts.nMetadata ?? BigInt(metadata.length)),
    ...metadata,
    ...tensors.flatMap(({ name, dims, type, offset }) => [
      text(name),
      u32(dims.length),
      ...dims.map(u64),
      u32(type),
      u64(offset),
    ]),
  ]);
  const alignment = parts.alignment ?? 32;
  return Buffer.concat([head, Buffer.alloc((alignment - (head.length % alignment)) % alignment), data]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

export function text(value: string): Buffer {
  return Buffer.concat([u64(BigInt(Buffer.byteLength(value))), Buffer.from(value)]);
}
