import { findCapturePattern, type OggPage, readPage } from "./ogg-page.ts";

/** RFC 7845, section 6: longer packets may be rejected. No Opus packet of one stream gets there. */
const MAX_PACKET_BYTES = 61_440;
/** Checksums that are made in looking for an intact page behind one that lacks its end: 15 ms at the most. */
const MAX_TRIES = 64;

/** One packet of the logical stream that is read. */
export interface OggPacket {
  data: Uint8Array;
  /** True for the first packet of a page that begins a stream. */
  beginsStream: boolean;
}

/** What was wrong with a stream, in numbers. */
export type OggFaults = {
  /** Bytes that belonged to no intact page. */
  skippedBytes: number;
  /** Things that looked like a page and had a wrong version or checksum. */
  damagedPages: number;
  /** Gaps in the numbering of pages. */
  gaps: number;
  /** Pages of a second stream beside the one that is read. */
  foreignPages: number;
  /** Packets without their beginning or end, or too long. */
  brokenPackets: number;
};

/**
 * Takes packets out of an Ogg stream (RFC 3533) that comes in pieces of any size. One logical stream is read at a time: a
 * page that begins a stream ends the one before (chaining), and a stream may be joined in its midst. After damage it
 * goes on at the next intact page. It holds one page and one packet, beside what was pushed and not yet asked for.
 */
export class OggReader {
  readonly faults: OggFaults = {
    skippedBytes: 0,
    damagedPages: 0,
    gaps: 0,
    foreignPages: 0,
    brokenPackets: 0,
  };
  #bytes: Buffer = Buffer.alloc(0);
  #pushed: Uint8Array[] = [];
  #serial: number | null = null;
  #nextSequence = 0;
  /** Pieces of a packet that the page before left unfinished; null if there is none. */
  #begun: Uint8Array[] | null = null;
  #page: { page: OggPage; segment: number; offset: number } | null = null;

  /** @param bytes kept, not copied. */
  push(bytes: Uint8Array): void {
    this.#pushed.push(bytes);
  }

  /**
   * The next packet; "again" after a page without a whole packet, or after damage, so that the caller can let others
   * have their turn; null if more bytes are needed.
   */
  next(): OggPacket | "again" | null {
    if (this.#page !== null) return this.#packetOfPage();
    if (this.#pushed.length > 0) {
      this.#bytes = Buffer.concat([this.#bytes, ...this.#pushed]);
      this.#pushed = [];
    }
    const at = findCapturePattern(this.#bytes, 0);
    this.#skip(at);
    if (this.#bytes.length === 0) return null;
    const found = readPage(this.#bytes, 0);
    if (found === "incomplete") return this.#isOvertaken() ? "again" : null;
    if (found === "damaged" || found === "other") {
      // The lengths in a damaged header cannot be trusted: what follows its pattern may hold the next page.
      this.faults.damagedPages++;
      this.#skip(1);
      return "again";
    }
    this.#bytes = this.#bytes.subarray(found.lengthBytes);
    this.#take(found.page);
    return "again";
  }

  /** A page that was cut short, or never was one, would swallow what follows it: an intact page within it shows that. */
  #isOvertaken(): boolean {
    let at = findCapturePattern(this.#bytes, 1);
    for (let tries = 0; at < this.#bytes.length && tries < MAX_TRIES; ) {
      const found = readPage(this.#bytes, at);
      if (typeof found !== "string") {
        this.faults.damagedPages++;
        this.#skip(at);
        return true;
      }
      if (found === "damaged") tries++;
      at = findCapturePattern(this.#bytes, at + 1);
    }
    return false;
  }

  #skip(lengthBytes: number): void {
    this.faults.skippedBytes += lengthBytes;
    this.#bytes = this.#bytes.subarray(lengthBytes);
  }

  #take(page: OggPage): void {
    if (page.beginOfStream || this.#serial === null) {
      this.#abandon();
      this.#serial = page.serial;
    } else if (page.serial !== this.#serial) {
      this.faults.foreignPages++;
      return;
    } else if (page.sequence !== this.#nextSequence) {
      this.faults.gaps++;
      this.#abandon();
    }
    this.#nextSequence = (page.sequence + 1) >>> 0;
    if (!page.continued) this.#abandon();
    this.#page = { page, segment: 0, offset: 0 };
    if (page.continued && this.#begun === null) this.#skipBeginning();
  }

  /** The end of a packet whose beginning was not seen. */
  #skipBeginning(): void {
    this.faults.brokenPackets++;
    const place = this.#page!;
    const { lacing } = place.page;
    while (place.segment < lacing.length) {
      const length = lacing[place.segment++]!;
      place.offset += length;
      if (length < 255) return;
    }
  }

  #packetOfPage(): OggPacket | "again" {
    const place = this.#page!;
    const { lacing, body, beginOfStream } = place.page;
    const isFirst = place.segment === 0;
    const start = place.offset;
    while (place.segment < lacing.length) {
      const length = lacing[place.segment++]!;
      place.offset += length;
      if (length === 255) continue;
      const rest = body.subarray(start, place.offset);
      const data = this.#begun === null ? rest : Buffer.concat([...this.#begun, rest]);
      this.#begun = null;
      if (data.length <= MAX_PACKET_BYTES) return { data, beginsStream: beginOfStream && isFirst };
      this.faults.brokenPackets++;
      return "again";
    }
    if (place.offset > start) this.#begin(body.subarray(start, place.offset));
    if (place.page.endOfStream) this.#endStream();
    this.#page = null;
    return "again";
  }

  #begin(piece: Uint8Array): void {
    const pieces = [...(this.#begun ?? []), piece];
    // A comment header may be as long as its pictures: of what is too long already, only that it is so is remembered.
    const tooLong = pieces.reduce((sum, { length }) => sum + length, 0) > MAX_PACKET_BYTES;
    this.#begun = tooLong ? [new Uint8Array(MAX_PACKET_BYTES + 1)] : pieces;
  }

  /** Gives up a packet that will not be finished. */
  #abandon(): void {
    if (this.#begun !== null) this.faults.brokenPackets++;
    this.#begun = null;
  }

  #endStream(): void {
    this.#abandon();
    this.#serial = null;
  }
}
