/**
 * Reads little-endian 16-bit samples of `channels` interleaved channels as they arrive, mixed to mono by their mean, in
 * [-1, 1]. What is left over at the end of the stream is dropped.
 */
export async function* monoOf(stream: AsyncIterable<Buffer>, channels: number): AsyncGenerator<Float32Array> {
  const frameBytes = 2 * channels;
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const samples = new Float32Array(Math.floor(bytes.length / frameBytes));
    for (let i = 0; i < samples.length; i++) {
      let sum = 0;
      for (let channel = 0; channel < channels; channel++) {
        sum += bytes.readInt16LE(i * frameBytes + 2 * channel);
      }
      samples[i] = sum / channels / 32768;
    }
    bytes = bytes.subarray(samples.length * frameBytes);
    if (samples.length > 0) yield samples;
  }
}
