import type { IncomingMessage } from "node:http";
import { type ListenAddress, namesThisMachine } from "../../src/net/listen.ts";
import { demandedToken, digestOf, isTextOf } from "../../src/net/token.ts";

/** The environment variable that holds the token. */
export const TOKEN_VARIABLE = "MICROTURN_SCREEN_TOKEN";

/** Why a request is not served. */
export interface Refusal {
  status: 401 | 403;
  /** For the person in front of the browser: what is wrong and what to do. */
  message: string;
}

/**
 * Who may see the screen. It shows what is said and who stands before the camera, so:
 *
 * - Any page that the browser has open could have its own name point to this machine (DNS rebinding) and then read the
 *   screen as its own origin. So the Host header must name this machine and nothing else.
 * - The same-origin policy does not cover WebSockets: the Origin header must be the screen's own (RFC 6455, 10.2).
 * - Where others than this machine can reach it, or a token is set, a token is demanded: once in the query, from then
 *   on as a cookie.
 */
export class Access {
  readonly #address: ListenAddress;
  readonly #digest: Buffer | null;

  /**
   * @param token the secret, null for none.
   * @throws RuntimeError "invalid-configuration" if the address wants a token and there is none, or it is too short.
   */
  constructor(address: ListenAddress, token: string | null) {
    this.#address = address;
    this.#digest = demandedToken("screen", address, token, TOKEN_VARIABLE);
  }

  /** Why a request for a page is refused; null if it is not. */
  refusal(request: IncomingMessage): Refusal | null {
    return this.#hostRefusal(request) ?? this.#tokenRefusal(request);
  }

  /** The same for a WebSocket. */
  upgradeRefusal(request: IncomingMessage): Refusal | null {
    return this.#hostRefusal(request) ?? originRefusal(request) ?? this.#tokenRefusal(request);
  }

  /** The Set-Cookie header for a browser that brings the right token in its query; null if it brings none. */
  cookieFor(request: IncomingMessage): string | null {
    const token = tokenIn(request);
    if (this.#digest === null || token === null || !isTextOf(this.#digest, token)) return null;
    const name = cookieName(request);
    return `${name}=${this.#digest.toString("hex")}; HttpOnly; SameSite=Strict; Path=/`;
  }

  #hostRefusal({ headers }: IncomingMessage): Refusal | null {
    if (namesThisMachine(headers.host, this.#address)) return null;
    const { host } = this.#address;
    return {
      status: 403,
      message: `This screen does not go by that name. Open it by its IP address, or as http://${this.#address.isLoopback ? "localhost" : host} with its port.`,
    };
  }

  #tokenRefusal(request: IncomingMessage): Refusal | null {
    if (this.#digest === null) return null;
    const given = cookieIn(request, cookieName(request));
    if (given !== null && isTextOf(digestOf(this.#digest.toString("hex")), given)) return null;
    const wrong = tokenIn(request) === null ? "" : "That token is wrong. ";
    return {
      status: 401,
      message: `${wrong}This screen wants a token. Open it once as /?token=TOKEN, with the value of ${TOKEN_VARIABLE} on the machine that runs the session.`,
    };
  }
}

function originRefusal({ headers }: IncomingMessage): Refusal | null {
  // Browsers always send it with a WebSocket; other programs could write there what they like.
  if (headers.origin === undefined) return null;
  if (hostOf(headers.origin)?.host === hostOf(`http://${headers.host ?? ""}`)?.host) return null;
  return { status: 403, message: "Only the screen's own page may connect to it." };
}

function hostOf(url: string): URL | null {
  return URL.canParse(url) ? new URL(url) : null;
}

function tokenIn({ url = "/" }: IncomingMessage): string | null {
  return new URLSearchParams(url.split("?").slice(1).join("?")).get("token");
}

/** Cookies are shared between the ports of a host, so two screens of one machine need two names. */
function cookieName({ socket }: IncomingMessage): string {
  return `microturn-screen-${socket.localPort}`;
}

function cookieIn({ headers }: IncomingMessage, name: string): string | null {
  for (const pair of (headers.cookie ?? "").split(";")) {
    const [key, value] = pair.trim().split("=");
    if (key === name && value !== undefined) return value;
  }
  return null;
}
