// Talks to the service: the key, requests, streams of events, and errors in words. Nothing here draws.

const KEPT = "lettabot-key";
const TRY_AGAIN = [1000, 2000, 4000, 8000, 15000];

export const base = location.pathname.replace(/\/portal\/?$/, "");

export const key = {
  get: () => sessionStorage.getItem(KEPT) ?? "",
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
};

export class ApiFailure extends Error {
  constructor(status, message, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const listeners = new Set();

/** Hears "lost", "back" and "refused". */
export function listen(listener) {
  listeners.add(listener);
}

function tell(what) {
  for (const listener of listeners) listener(what);
}

let isLost = false;

function lost() {
  if (isLost) return;
  isLost = true;
  tell("lost");
  void comeBack(0);
}

async function comeBack(tries) {
  await new Promise((done) => setTimeout(done, TRY_AGAIN[Math.min(tries, TRY_AGAIN.length - 1)]));
  try {
    const answer = await fetch(`${base}/health`, { cache: "no-store" });
    if (!answer.ok) throw new Error();
    isLost = false;
    tell("back");
  } catch {
    void comeBack(tries + 1);
  }
}

/** The answer to a request, whatever its status. Raises `ApiFailure` (status 0) if there is none. */
export async function send(method, path, { body, headers = {}, signal } = {}) {
  const all = { authorization: `Bearer ${key.get()}`, ...headers };
  if (body !== undefined) all["content-type"] = "application/json";
  try {
    return await fetch(base + path, { method, headers: all, body: body === undefined ? undefined : JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    lost();
    throw new ApiFailure(0, "The service does not answer.");
  }
}

/** The decoded answer. Raises `ApiFailure`. */
export async function call(method, path, options) {
  const answer = await send(method, path, options);
  if (!answer.ok) throw await failureOf(answer);
  return answer.status === 204 ? null : answer.json();
}

export async function failureOf(answer) {
  let told = {};
  try { told = await answer.json(); } catch { /* not ours: a proxy's page */ }
  if (answer.status === 401) tell("refused");
  const detail = typeof told.error === "object" && told.error ? told.error : { message: told.error, code: told.code };
  return new ApiFailure(answer.status, detail.message ?? `The service answers ${answer.status}.`, detail.code ?? null);
}

/** The events of a stream, decoded. Ends when it ends; raises `ApiFailure` (status 0) when it breaks. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiFailure(0, "The connection broke.");
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Something that nobody can guess; also where the page was not loaded over TLS. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
