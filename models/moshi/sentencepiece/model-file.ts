import { messageOf, RuntimeError } from "../../../src/core/errors.ts";
import { failFor } from "../../tensors/json.ts";
import { type Field, ProtobufFault, readFields } from "./protobuf-reader.ts";

/** Far above any tokenizer of this family: the largest known is 0.9 MB. */
const MAX_FILE_BYTES = 16 * 2 ** 20;
const MAX_PIECES = 1_000_000;
const MAX_PIECE_BYTES = 1024;
/** By number from 1 on (sentencepiece_model.proto, TrainerSpec.ModelType). */
const MODEL_TYPES = ["unigram", "BPE", "word", "char"] as const;
const UNIGRAM = 1;

const PIECE_KINDS = ["normal", "unknown", "control", "user-defined", "unused", "byte"] as const;
export type PieceKind = (typeof PIECE_KINDS)[number];

export interface Piece {
  text: string;
  /** Logarithm of its probability. */
  score: number;
  kind: PieceKind;
}

/** What a SentencePiece `.model` file says (sentencepiece_model.proto). */
export interface SentencePieceModel {
  pieces: readonly Piece[];
  /** Whether what no piece spells is spelt in bytes. */
  byteFallback: boolean;
  /** What the unknown piece is decoded to. */
  unknownSurface: string;
  normalizer: {
    /** Rules that replace characters, compiled; empty for none. */
    charsmap: Uint8Array;
    addDummyPrefix: boolean;
    removeExtraWhitespaces: boolean;
    escapeWhitespaces: boolean;
    /** The space that is put before a text stands behind it. */
    whitespaceAsSuffix: boolean;
  };
}

/**
 * Takes a `.model` file apart.
 *
 * @param file   The whole file. Borrowed: the character map is a view of it.
 * @param source For messages: the file's path.
 * @throws RuntimeError "invalid-checkpoint" for what is no such file, or of another model type than unigram.
 */
export function parseSentencePiece(file: Uint8Array, source: string): SentencePieceModel {
  const fail = failFor("tokenizer", source);
  if (file.byteLength > MAX_FILE_BYTES)
    fail(`is ${file.byteLength} bytes long, expected at most ${MAX_FILE_BYTES}`);
  const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const pieces: Piece[] = [];
  const model: SentencePieceModel = {
    pieces,
    byteFallback: false,
    unknownSurface: " \u2047 ",
    normalizer: {
      charsmap: new Uint8Array(),
      addDummyPrefix: true,
      removeExtraWhitespaces: true,
      escapeWhitespaces: true,
      whitespaceAsSuffix: false,
    },
  };
  let modelType = UNIGRAM;
  const onTrainer = ({ number, integer, bytes }: Field): void => {
    if (number === 3) modelType = integer;
    else if (number === 24) model.normalizer.whitespaceAsSuffix = integer !== 0;
    else if (number === 35) model.byteFallback = integer !== 0;
    else if (number === 44) model.unknownSurface = utf8.decode(bytes);
  };
  const onNormalizer = ({ number, integer, bytes }: Field): void => {
    if (number === 2) model.normalizer.charsmap = bytes;
    else if (number === 3) model.normalizer.addDummyPrefix = integer !== 0;
    else if (number === 4) model.normalizer.removeExtraWhitespaces = integer !== 0;
    else if (number === 5) model.normalizer.escapeWhitespaces = integer !== 0;
  };
  try {
    for (const { number, bytes } of readFields(file)) {
      if (number === 1) {
        if (pieces.length === MAX_PIECES) fail(`more than ${MAX_PIECES} pieces`);
        pieces.push(parsePiece(bytes, utf8));
      } else if (number === 2) for (const field of readFields(bytes)) onTrainer(field);
      else if (number === 3) for (const field of readFields(bytes)) onNormalizer(field);
    }
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    return fail(`is no SentencePiece model: ${messageOf(cause)}`, cause);
  }
  if (modelType !== UNIGRAM) {
    // The others split a text by other rules: its ids would be valid, and wrong.
    fail(`its model type is ${MODEL_TYPES[modelType - 1] ?? modelType}, expected unigram`);
  }
  const unknown = pieces.filter(({ kind }) => kind === "unknown").length;
  if (unknown !== 1) fail(`it has ${unknown} unknown pieces, expected one`);
  if (model.byteFallback && byteIds(model).length !== 256) fail("not every byte has a piece");
  return model;
}

/** (256) id of each byte's piece; shorter where there are none. */
export function byteIds({ pieces }: SentencePieceModel): number[] {
  const ids: number[] = [];
  for (const [id, { kind, text }] of pieces.entries()) {
    const byte = kind === "byte" ? byteOf(text) : null;
    if (byte !== null) ids[byte] = id;
  }
  return ids.filter((id) => id !== undefined);
}

/** The byte of a piece such as "<0x0A>". */
export function byteOf(text: string): number | null {
  const match = /^<0x([0-9A-F]{2})>$/.exec(text);
  return match ? Number.parseInt(match[1]!, 16) : null;
}

function parsePiece(message: Uint8Array, utf8: { decode(bytes: Uint8Array): string }): Piece {
  let text = "";
  let score = 0;
  let kind: PieceKind | undefined = "normal";
  for (const { number, integer, float, bytes } of readFields(message)) {
    if (number === 1) {
      if (bytes.byteLength > MAX_PIECE_BYTES) throw new ProtobufFault(`a piece of ${bytes.byteLength} bytes`);
      text = utf8.decode(bytes);
    } else if (number === 2) score = float;
    else if (number === 3) kind = PIECE_KINDS[integer - 1];
  }
  if (text === "" || kind === undefined || !Number.isFinite(score)) {
    throw new ProtobufFault(
      `piece ${JSON.stringify(text)} of unknown kind, without text or with a score that is no number`,
    );
  }
  return { text, score, kind };
}
