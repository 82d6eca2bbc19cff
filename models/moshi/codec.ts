/** The Mimi codec of one session, 24 kHz mono, frames of 80 ms. Encoder and decoder keep their own streaming state. */
export interface Codec {
  /** Codebooks that `encode` gives. */
  readonly nCodebooks: number;
  /**
   * Encodes one frame of sound.
   *
   * @param pcm (1920) f32 in [-1, 1]. Borrowed.
   * @returns (nCodebooks) codes: the semantic one first.
   * @throws RuntimeError "shape-mismatch" if `pcm` is another length, "invalid-argument" if a sample is not a finite number,
   *   "queue-full" if too many frames are under way. The stream then stays where it is.
   */
  encode(pcm: Float32Array): Promise<Int32Array>;
  /**
   * Decodes one frame.
   *
   * @param codes (at least 1, at most nCodebooks) codes of one frame.
   * @returns (1920) f32; may go beyond [-1, 1].
   * @throws RuntimeError "invalid-argument" for a code outside the codebook, "queue-full" if too many frames are under way.
   *   The stream then stays where it is.
   */
  decode(codes: Int32Array): Promise<Float32Array>;
  /** The next frame is a first frame, for both directions. */
  reset(): Promise<void>;
  close(): Promise<void>;
}
