import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "@foxglove/crc";
import { McapChunkBuilder, McapRecordBuilder, type McapTypes } from "@mcap/core";

/** A topic and the schema of its messages, both JSON. */
export interface Channel {
  topic: string;
  schemaName: string;
  /** JSON Schema. */
  schema: object;
}

export interface McapMessage {
  /** Place of its channel in the list that the file was created with. */
  channel: number;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  sequence: number;
  data: Uint8Array;
}

interface Metadata {
  name: string;
  metadata: Map<string, string>;
}

/** Last bytes of a footer and the magic after it: the summary's checksum covers all before them. */
const CRC_AND_MAGIC_BYTES = 4 + 8;

/**
 * Writes one MCAP file (https://mcap.dev/spec), chunks uncompressed. Made of the record builders of @mcap/core and not of
 * its McapWriter, which closes a chunk when it is large and never when it is old: what a quiet session says would wait
 * in memory for minutes.
 *
 * One call at a time; a call that failed leaves nothing to do but `abandon`.
 */
export class McapFile {
  /** Bytes on disk: up to here every record is whole. */
  sizeBytes = 0;
  readonly #file: FileHandle;
  readonly #channels: readonly Channel[];
  readonly #records = new McapRecordBuilder();
  readonly #chunk = new McapChunkBuilder({});
  readonly #chunkIndexes: McapTypes.ChunkIndex[] = [];
  readonly #metadataIndexes: McapTypes.MetadataIndex[] = [];
  readonly #counts = new Map<number, bigint>();
  #firstNs = 0n;
  #lastNs = 0n;

  private constructor(file: FileHandle, channels: readonly Channel[]) {
    this.#file = file;
    this.#channels = channels;
  }

  /** Makes a new file. @throws the system's error; EEXIST if there is a file of that name. */
  static async create(path: string, channels: readonly Channel[], metadata: Metadata): Promise<McapFile> {
    const made = new McapFile(await open(path, "wx"), channels);
    made.#records.writeMagic();
    made.#records.writeHeader({ profile: "", library: "microturn" });
    made.#writeChannels();
    const offset = BigInt(made.#records.length);
    const length = made.#records.writeMetadata(metadata);
    made.#metadataIndexes.push({ name: metadata.name, offset, length });
    await made.#append(made.#records.buffer);
    made.#records.reset();
    return made;
  }

  /** Bytes of the chunk that has not been written yet. */
  get waitingBytes(): number {
    return this.#chunk.byteLength;
  }

  /** Adds a message to the chunk in hand. `data` is copied. */
  add({ channel, timeNs, sequence, data }: McapMessage): void {
    if (this.#counts.size === 0 || timeNs < this.#firstNs) this.#firstNs = timeNs;
    if (this.#counts.size === 0 || timeNs > this.#lastNs) this.#lastNs = timeNs;
    this.#counts.set(channel, (this.#counts.get(channel) ?? 0n) + 1n);
    this.#chunk.addMessage({ channelId: channel, sequence, logTime: timeNs, publishTime: timeNs, data });
  }

  /** Writes the chunk in hand and its index. @throws the system's error. */
  async flush(): Promise<void> {
    const chunk = this.#chunk;
    if (chunk.numMessages === 0) return;
    const { messageStartTime, messageEndTime } = chunk;
    const size = BigInt(chunk.byteLength);
    const head = {
      messageStartTime,
      messageEndTime,
      compression: "",
      uncompressedSize: size,
    };
    const chunkStartOffset = BigInt(this.sizeBytes);
    const records = chunk.buffer;
    const chunkLength = this.#records.writeChunk({ ...head, uncompressedCrc: crc32(records), records });
    const messageIndexOffsets = new Map<number, bigint>();
    const indexStart = this.#records.length;
    for (const index of chunk.indices) {
      messageIndexOffsets.set(index.channelId, chunkStartOffset + BigInt(this.#records.length));
      this.#records.writeMessageIndex(index);
    }
    const messageIndexLength = BigInt(this.#records.length - indexStart);
    await this.#append(this.#records.buffer);
    this.#records.reset();
    this.#chunkIndexes.push({
      ...head,
      chunkStartOffset,
      chunkLength,
      messageIndexOffsets,
      messageIndexLength,
      compressedSize: size,
    });
    chunk.reset();
  }

  /** Writes what waits, the summary and the footer, and closes the file. @throws the system's error. */
  async finish(): Promise<void> {
    await this.flush();
    // 0: no checksum over the data section, as every chunk has its own.
    this.#records.writeDataEnd({ dataSectionCrc: 0 });
    const summaryStart = this.#records.length;
    this.#writeSummary();
    this.#records.writeFooter({
      summaryStart: BigInt(this.sizeBytes + summaryStart),
      summaryOffsetStart: 0n,
      summaryCrc: 0,
    });
    this.#records.writeMagic();
    const bytes = new Uint8Array(this.#records.buffer);
    const crcAt = bytes.length - CRC_AND_MAGIC_BYTES;
    const crc = crc32(bytes.subarray(summaryStart, crcAt));
    new DataView(bytes.buffer).setUint32(crcAt, crc, true);
    await this.#append(bytes);
    await this.#file.close();
  }

  /** Closes the file after a failure, cut behind its last whole record. */
  async abandon(): Promise<void> {
    try {
      await this.#file.truncate(this.sizeBytes);
    } finally {
      await this.#file.close();
    }
  }

  /** Schemas count from 1, as 0 means none; channels from 0. */
  #writeChannels(): void {
    for (const [i, { schemaName, schema }] of this.#channels.entries()) {
      const data = Buffer.from(JSON.stringify(schema));
      this.#records.writeSchema({ id: i + 1, name: schemaName, encoding: "jsonschema", data });
    }
    for (const [id, { topic }] of this.#channels.entries()) {
      this.#records.writeChannel({
        id,
        schemaId: id + 1,
        topic,
        messageEncoding: "json",
        metadata: new Map(),
      });
    }
  }

  #writeSummary(): void {
    this.#writeChannels();
    this.#records.writeStatistics({
      messageCount: [...this.#counts.values()].reduce((sum, count) => sum + count, 0n),
      schemaCount: this.#channels.length,
      channelCount: this.#channels.length,
      attachmentCount: 0,
      metadataCount: this.#metadataIndexes.length,
      chunkCount: this.#chunkIndexes.length,
      messageStartTime: this.#firstNs,
      messageEndTime: this.#lastNs,
      channelMessageCounts: this.#counts,
    });
    for (const index of this.#metadataIndexes) this.#records.writeMetadataIndex(index);
    for (const index of this.#chunkIndexes) this.#records.writeChunkIndex(index);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const place = this.sizeBytes + done;
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, place);
      done += bytesWritten;
    }
    this.sizeBytes += bytes.length;
  }
}
