/** One tensor as it stands in a safetensors file. */
export interface StoredTensor {
  dtype: "F32" | "F16" | "I8";
  shape: readonly number[];
  bytes: Uint8Array;
}

export function storeF32(shape: readonly number[], values: Float32Array): StoredTensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(values.slice().buffer) };
}

/** The bytes of a safetensors file: u64 header length, JSON header, data in the order of the map. */
export function safetensorsFile(tensors: ReadonlyMap<string, StoredTensor>): Uint8Array {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, tensor] of tensors) {
    header[name] = {
      dtype: tensor.dtype,
      shape: tensor.shape,
      data_offsets: [end, end + tensor.bytes.byteLength],
    };
    end += tensor.bytes.byteLength;
  }
  return rawSafetensorsFile(
    JSON.stringify(header),
    [...tensors.values()].map((tensor) => tensor.bytes),
  );
}

/** The same from a header that may say anything. */
export function rawSafetensorsFile(header: string, parts: readonly Uint8Array[]): Uint8Array {
  const head = new TextEncoder().encode(header);
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(head.byteLength), true);
  return Buffer.concat([size, head, ...parts]);
}

/** A tensor of a fixture: the product's reader takes fewer types and trusts nothing; a fixture is ours. */
export type FixtureArray = Float32Array | Int32Array | Uint8Array | Int8Array;

export function readFixture(file: Uint8Array): Map<string, { shape: number[]; data: FixtureArray }> {
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> =
    JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)));
  const arrays = new Map<string, { shape: number[]; data: FixtureArray }>();
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const dataStart = 8 + headerBytes;
    const { buffer } = Uint8Array.from(
      file.subarray(dataStart + data_offsets[0], dataStart + data_offsets[1]),
    );
    const kinds = { F32: Float32Array, I32: Int32Array, U8: Uint8Array, I8: Int8Array };
    if (!Object.hasOwn(kinds, dtype)) throw new Error(`fixture tensor ${name} is of type ${dtype}`);
    arrays.set(name, { shape, data: new kinds[dtype as keyof typeof kinds](buffer) });
  }
  return arrays;
}
