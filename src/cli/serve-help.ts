/** Where the published server listens. */
export const DEFAULT_SERVE_ADDRESS = "127.0.0.1:8998";

/** What `microturn serve --help` says below the options. */
export const SERVE_DETAILS = `Environment: MICROTURN_SERVE_TOKEN stands for --token, which other users of the machine can read.

The profile says how the model is loaded, and what a client has that asks for nothing of its own: model, weights,
temperature, seed, persona. Clients connect to
ws://HOST:PORT/api/chat; src/serve/README.md describes the protocol. /healthz is for monitoring.

Example: microturn serve --model moshi:moshiko --queue 2
`;
