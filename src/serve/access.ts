import type { IncomingMessage } from "node:http";
import { RuntimeError } from "../core/errors.ts";
import { type ListenAddress, namesThisMachine } from "../net/listen.ts";
import { demandedToken, isTextOf } from "../net/token.ts";

/** The environment variable that may hold the token. */
export const TOKEN_VARIABLE = "MICROTURN_SERVE_TOKEN";

/** Why a request is not served. */
export interface Refusal {
  status: 400 | 401 | 403 | 404;
  message: string;
}

export interface AccessOptions {
  /** Demanded of every client; null only on loopback. At least 16 characters. */
  token: string | null;
  /** Origins of pages that may connect, beside pages of the server's own host: "http://localhost:5173". */
  origins: readonly string[];
}

/**
 * Who may talk to the model. The same-origin policy does not cover WebSockets, so a page that the browser has open could
 * connect: its Origin must be the server's own host or one that was named (RFC 6455, section 10.2). Programs send none.
 * Where others than this machine can reach the server, or a token is set, a token is demanded.
 */
export class Access {
  readonly #address: ListenAddress;
  readonly #digest: Buffer | null;
  readonly #origins: ReadonlySet<string>;

  /**
   * @throws RuntimeError "invalid-configuration" if the address wants a token and there is none, or it is too short,
   * "invalid-argument" for an origin that is none.
   */
  constructor(address: ListenAddress, { token, origins }: AccessOptions) {
    this.#address = address;
    this.#digest = demandedToken("serve", address, token, TOKEN_VARIABLE);
    this.#origins = new Set(origins.map(parseOrigin));
  }

  /** Why a request for a WebSocket is refused; null if it is not. */
  refusal(request: IncomingMessage, query: URLSearchParams): Refusal | null {
    const { host, origin } = request.headers;
    // Whoever has the token is no page that a name was turned round for.
    const named = namesThisMachine(host, this.#address) || this.#origins.has(`http://${host}`);
    if (this.#digest === null && !named) {
      return {
        status: 403,
        message:
          "This server does not go by that name. Connect to its IP address or localhost, or start it with --origin.",
      };
    }
    if (origin !== undefined && !this.#isOwn(origin, host)) {
      return {
        status: 403,
        message: "Pages of that origin may not connect. Start the server with --origin.",
      };
    }
    if (this.#digest === null) return null;
    const given = tokenIn(request, query);
    if (given !== null && isTextOf(this.#digest, given)) return null;
    return {
      status: 401,
      message: `${given === null ? "" : "That token is wrong. "}This server wants a token: Authorization: Bearer TOKEN, or ?token=TOKEN.`,
    };
  }

  #isOwn(origin: string, host: string | undefined): boolean {
    if (!URL.canParse(origin)) return false;
    const url = new URL(origin);
    return url.host === host?.toLowerCase() || this.#origins.has(url.origin);
  }
}

/** @throws RuntimeError "invalid-argument" unless `text` is an origin of a page. */
function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.pathname !== "/" || url.search !== "") {
    throw new RuntimeError("invalid-argument", {
      part: "--origin",
      problem: `'${text}' is not the origin of a page`,
      remedy: "Write it as http://localhost:5173, without a path",
    });
  }
  return url.origin;
}

function tokenIn({ headers }: IncomingMessage, query: URLSearchParams): string | null {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "");
  return bearer?.[1] ?? query.get("token");
}
