// What goes on now: agents and their backends, turns and who waits behind whom, jobs.

import { call } from "./api.js";
import { button, carefulButton, el, named, replace, table } from "./dom.js";
import { TONES, day, keyWords, since } from "./words.js";

const LOOK_EVERY = 4000;
const MOST_TURNS = 200;

export class NowView {
  #session;
  #timer = 0;
  #figures = el("div", { class: "grid" });
  #backends = el("div", { class: "card" });
  #turns = el("div", { class: "card" });
  #jobs = el("div", { class: "card" });
  #error = el("p", { class: "error", role: "alert" });

  constructor(session) {
    this.#session = session;
    this.element = el("section", {}, el("h1", {}, "Now"), this.#error, this.#figures, this.#turns, el("div", { class: "two" }, this.#backends, this.#jobs));
  }

  enter() {
    this.update();
    void this.#look();
    this.#timer = setInterval(() => { this.update(); void this.#look(); }, LOOK_EVERY);
  }

  leave() {
    clearInterval(this.#timer);
  }

  update() {
    const open = this.#session.turns.open;
    const lanes = new Map();
    for (const turn of open.slice(0, MOST_TURNS).reverse()) {
      const lane = `${turn.agentId}\n${turn.chat ?? ""}\n${turn.chat === null ? "" : turn.keyName ?? ""}`;
      if (!lanes.has(lane)) lanes.set(lane, []);
      lanes.get(lane).push(turn);
    }
    const shown = [...lanes.values()].map((turns) => this.#lane(turns));
    replace(this.#turns, el("h2", {}, `Turns (${open.length})`), ...(shown.length ? shown : [el("p", { class: "empty" }, "Nobody is asking anything at the moment.")]));
  }

  #lane(turns) {
    turns.sort((a, b) => (a.state === b.state ? (a.id < b.id ? -1 : 1) : a.state === "running" ? -1 : 1));
    const [first] = turns;
    return el("div", { class: turns.length > 1 ? "queue" : "queue calm" },
      el("h3", {}, named(first.agentName), first.chat === null ? " · default history" : [" · chat ", named(first.chat)]),
      turns.map((turn, index) => el("div", { class: "turn", "data-turn": turn.id },
        el("span", { class: `pill ${turn.state === "running" ? "good" : ""}` }, turn.state === "running" ? "running" : `waits, ${index} before it`),
        el("span", { class: "soft" }, `${since(turn.askedAt)}`),
        el("span", { class: "soft small grow" }, named(keyWords(turn.keyName)), Object.keys(turn.tools).length ? ` · ${Object.entries(turn.tools).map(([tool, n]) => `${tool.slice(0, 40)} ×${n}`).join(", ")}` : "", turn.retries ? ` · ${turn.retries} ${turn.retries === 1 ? "retry" : "retries"} attached` : ""),
        button("Stop", () => this.#do("DELETE", `/api/v1/turns/${encodeURIComponent(turn.id)}`), { class: "danger" }))));
  }

  async #look() {
    try {
      const [able, status, jobs] = await Promise.all([call("GET", "/api/v1/capabilities"), call("GET", "/api/v1/status"), call("GET", "/api/v1/jobs?limit=20")]);
      this.#drawBackends(able.backends, status);
      this.#drawJobs(jobs, status);
      this.#drawFigures(status);
      this.#error.textContent = "";
    } catch (failure) {
      if (failure.status) this.#error.textContent = failure.message;
    }
  }

  #drawFigures(status) {
    const figures = [
      ["Turns running", status.conversations], ["Waiting", status.waiting],
      ["Jobs open", (status.jobs.queued ?? 0) + (status.jobs.running ?? 0)],
      ["Second deliveries prevented, last hour", this.#session.turns.all.reduce((sum, turn) => sum + turn.retries, 0)],
    ];
    replace(this.#figures, ...figures.map(([name, value]) => el("div", { class: "card" }, el("h3", {}, name), el("div", { class: "figure" }, value))));
  }

  #drawBackends(backends, status) {
    const agents = Object.entries(status.agents);
    replace(this.#backends,
      el("h2", {}, "Agents"),
      table(["Backend", "", ""], backends.map((backend) => [named(backend.name), el("span", { class: "soft small" }, backend.mode),
        backend.ready ? el("span", { class: "pill good" }, `up, ${since(backend.since)}`)
          : el("span", {}, el("span", { class: "pill bad" }, `away, ${since(backend.since)}`), el("div", { class: "small soft" }, (backend.message ?? "").slice(0, 300)))]), "There is no backend."),
      el("p", {}),
      table(["Agent", "Running", "Waiting"], agents.slice(0, 200).map(([name, agent]) => [named(name, { title: agent.id }), el("td", { class: "num" }, agent.running || ""), el("td", { class: "num" }, agent.waiting || "")]), "There is no agent for this key."));
  }

  #drawJobs(list, status) {
    const counts = Object.entries(status.jobs).filter(([, count]) => count);
    replace(this.#jobs,
      el("h2", {}, "Jobs"),
      el("div", { class: "buttons" }, counts.map(([state, count]) => el("span", { class: `pill ${TONES[state] ?? ""}` }, `${state} ${count}`))),
      table(["Job", "Agent", "State", ""], list.jobs.map((job) => [
        el("span", { class: "small", title: job.jobId }, day(job.createdAt), el("div", { class: "soft" }, named(keyWords(job.keyName)))),
        named(job.agentName), el("span", {}, el("span", { class: `pill ${TONES[job.status] ?? ""}` }, job.status), job.code ? el("div", { class: "small soft" }, job.code) : null),
        el("td", { class: "act" }, job.finishedAt ? null : carefulButton("Cancel", "Really?", () => this.#do("DELETE", `/api/v1/chat/async/${encodeURIComponent(job.jobId)}`), { class: "danger" }))]), "There are no jobs."));
  }

  async #do(method, path) {
    try {
      await call(method, path);
      this.#error.textContent = "";
    } catch (failure) {
      this.#error.textContent = failure.message;
    }
    document.activeElement?.blur();
    void this.#look();
  }
}
