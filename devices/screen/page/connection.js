/** Without news for this long the session is taken to stand still, ms: it steps five times a second. */
const SILENCE_MS = 3000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;

/**
 * Keeps a connection to the session, however often it is lost.
 *
 * @param {object} listener
 * @param {(view: object) => void} listener.view shows the newest view.
 * @param {(jpeg: Blob) => void} listener.picture shows the newest picture.
 * @param {(reason: string) => void} listener.lost says that what is shown is old, and why.
 */
export function connect(listener) {
  let retryMs = FIRST_RETRY_MS;
  let silence = 0;

  const heardFrom = () => {
    clearTimeout(silence);
    silence = setTimeout(() => listener.lost("the session gives no news"), SILENCE_MS);
  };

  const open = () => {
    const socket = new WebSocket(new URL("/live", location.href.replace(/^http/, "ws")));
    socket.addEventListener("message", ({ data }) => {
      if (data instanceof Blob) {
        listener.picture(data);
        return;
      }
      const view = JSON.parse(data);
      // The next one is sent only after this: a tab that cannot keep up is never sent what would be old by then.
      socket.send(JSON.stringify({ ack: view.sheet }));
      retryMs = FIRST_RETRY_MS;
      if (view.activity === "ended") clearTimeout(silence);
      else heardFrom();
      listener.view(view);
    });
    socket.addEventListener("close", ({ code }) => {
      clearTimeout(silence);
      listener.lost(code === 1001 ? "the session is over" : "no connection to the session");
      setTimeout(open, retryMs);
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    });
  };
  open();
}
