// Keeps the turns that the service tells of, live; views ask for them when they draw.

import { ApiFailure, events, failureOf, send } from "./api.js";

const MOST = 2000;
const SOON = 400;

export class Turns {
  #byId = new Map();
  #changed;
  #timer = 0;
  #stopping = new AbortController();

  /** `changed` is called after changes, a few times a second at most. */
  constructor(changed) {
    this.#changed = changed;
  }

  /** The newest first. */
  get all() {
    return [...this.#byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
  }

  get open() {
    return this.all.filter((turn) => turn.state === "running" || turn.state === "waiting");
  }

  stop() {
    this.#stopping.abort();
  }

  /** Reads until `stop`; begins again when the stream ends. */
  async watch() {
    for (let pause = 500; ; pause = Math.min(pause * 2, 15000)) {
      try {
        const answer = await send("GET", "/api/v1/turns/stream", { signal: this.#stopping.signal });
        if (!answer.ok) throw await failureOf(answer);
        for await (const event of events(answer)) {
          pause = 500;
          if (event.type === "turns") this.#byId = new Map(event.turns.map((turn) => [turn.id, turn]));
          else if (event.type === "turn") this.#byId.set(event.turn.id, event.turn);
          this.#forgetOldest();
          this.#tellSoon();
        }
      } catch (error) {
        if (error.name === "AbortError" || (error instanceof ApiFailure && error.status === 401)) return;
      }
      await new Promise((done) => setTimeout(done, pause));
      if (this.#stopping.signal.aborted) return;
    }
  }

  #forgetOldest() {
    while (this.#byId.size > MOST) {
      let oldest = null;
      for (const id of this.#byId.keys()) if (oldest === null || id < oldest) oldest = id;
      this.#byId.delete(oldest);
    }
  }

  #tellSoon() {
    if (this.#timer) return;
    this.#timer = setTimeout(() => { this.#timer = 0; this.#changed(); }, SOON);
  }
}
