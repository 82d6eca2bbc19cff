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
