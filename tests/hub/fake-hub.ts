import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a server does with one request for a file's content; "whole" is what a good one does. */
export type Manner =
  | "whole"
  /** Closes the connection after so many bytes of the body. */
  | { cutAfter: number }
  /** Sends from the beginning whatever range was asked for. */
  | "knows no ranges"
  /** Ends the body early without breaking the connection. */
  | { endsAfter: number }
  /** Sends so many bytes more than there are. */
  | { tooLongBy: number }
  | { status: number; headers?: Record<string, string> }
  /** Sends head and first byte, then nothing. */
  | "stalls";

export interface Seen {
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export interface FakeFile {
  content: Buffer;
  /** Large files are kept elsewhere: the hub redirects to another origin, and knows their SHA-256. */
  lfs: boolean;
}

/**
 * A hub on loopback that speaks the Hugging Face API, written from its description: metadata of a revision, content by
 * commit, redirects of large files to a second origin.
 */
export class FakeHub {
  /** Requests for metadata and content, in order. */
  readonly seen: Seen[] = [];
  /** Those that reached the second origin. */
  readonly seenElsewhere: Seen[] = [];
  /** For the requests of content to come; then "whole". */
  readonly manners: Manner[] = [];
  /** Answers of the API to come, in place of the right one. */
  readonly apiManners: { status: number; headers?: Record<string, string>; body?: string }[] = [];
  /** Commit -> path -> file. */
  readonly commits = new Map<string, Map<string, FakeFile>>();
  readonly branches = new Map<string, string>();
  licence: string | null = "apache-2.0";
  readonly repository: string;
  /** Changes what the API says of a file. */
  misdescribe: (sibling: Record<string, unknown>) => Record<string, unknown> = (sibling) => sibling;
  readonly #hub: Server;
  readonly #elsewhere: Server;

  private constructor(repository: string) {
    this.repository = repository;
    this.#hub = createServer((request, response) => this.#answer(request, response));
    this.#elsewhere = createServer((request, response) => {
      this.seenElsewhere.push(seenOf(request));
      this.#content(request, response);
    });
  }

  static async start(repository: string): Promise<FakeHub> {
    const hub = new FakeHub(repository);
    for (const server of [hub.#hub, hub.#elsewhere]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return hub;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  /** @returns the commit, of which `branch` is the name from now on. */
  commit(files: Record<string, FakeFile>, branch = "main"): string {
    const name = createHash("sha1").update(`${this.commits.size}`).digest("hex");
    this.commits.set(name, new Map(Object.entries(files)));
    this.branches.set(branch, name);
    return name;
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#elsewhere]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.seen.push(seenOf(request));
    const { pathname } = new URL(request.url!, this.endpoint);
    if (pathname.startsWith("/api/models/")) this.#describe(decodeURIComponent(pathname), response);
    else if (this.#file(pathname)?.lfs) {
      const { port } = this.#elsewhere.address() as AddressInfo;
      response.writeHead(302, { location: `http://127.0.0.1:${port}${pathname}` }).end();
    } else this.#content(request, response);
  }

  #describe(path: string, response: ServerResponse): void {
    const manner = this.apiManners.shift();
    if (manner) {
      response.writeHead(manner.status, manner.headers).end(manner.body ?? "{}");
      return;
    }
    const [, revision] = /^\/api\/models\/[^/]+\/[^/]+\/revision\/(.+)$/.exec(path) ?? [];
    const commit = this.branches.get(revision ?? "") ?? revision ?? "";
    const files = this.commits.get(commit);
    if (!path.startsWith(`/api/models/${this.repository}/`) || !files) {
      response.writeHead(404).end();
      return;
    }
    const siblings = [...files].map(([rfilename, { content, lfs }]) =>
      this.misdescribe({
        rfilename,
        size: content.length,
        blobId: createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex"),
        ...(lfs && { lfs: { sha256: sha256(content), size: content.length, pointerSize: 130 } }),
      }),
    );
    const cardData = this.licence === null ? undefined : { license: this.licence };
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ id: this.repository, sha: commit, cardData, siblings }));
  }

  #file(pathname: string): FakeFile | undefined {
    const [, commit, path] =
      new RegExp(`^/${this.repository}/resolve/([0-9a-f]{40})/(.+)$`).exec(pathname) ?? [];
    return this.commits.get(commit ?? "")?.get(decodeURIComponent(path ?? ""));
  }

  #content(request: IncomingMessage, response: ServerResponse): void {
    const manner = this.manners.shift() ?? "whole";
    const file = this.#file(new URL(request.url!, this.endpoint).pathname);
    if (!file) {
      response.writeHead(404).end();
      return;
    }
    if (typeof manner === "object" && "status" in manner) {
      response.writeHead(manner.status, manner.headers).end();
      return;
    }
    const { content } = file;
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
    const first = manner === "knows no ranges" ? 0 : Number(asked?.[1] ?? 0);
    if (first > 0) {
      response.writeHead(206, { "content-range": `bytes ${first}-${content.length - 1}/${content.length}` });
    } else response.writeHead(200);
    const body = content.subarray(first);
    if (manner === "stalls") response.write(body.subarray(0, 1));
    else if (typeof manner === "object" && "cutAfter" in manner) {
      response.write(body.subarray(0, manner.cutAfter), () => setTimeout(() => response.destroy(), 20));
    } else if (typeof manner === "object" && "endsAfter" in manner) {
      response.end(body.subarray(0, manner.endsAfter));
    } else if (typeof manner === "object")
      response.end(Buffer.concat([body, Buffer.alloc(manner.tooLongBy)]));
    else response.end(body);
  }
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

function seenOf({ url, headers }: IncomingMessage): Seen {
  return { path: url!, range: headers.range, authorization: headers.authorization };
}
