// The last hour: a timeline, how long things took, what failed, and the second deliveries that were none.

import { el, longText, named, replace, table } from "./dom.js";
import { quantile, timeline, times } from "./charts.js";
import { TONES, between, clock, duration, keyWords } from "./words.js";

const HOUR = 3600 * 1000;
const LISTED = 100;
const KINDS = ["answered", "failed", "stopped", "replayed", "running"];

export class LatelyView {
  #session;
  #timer = 0;
  #figures = el("div", { class: "grid" });
  #timeline = el("div", { class: "card" });
  #first = el("div", { class: "card" });
  #whole = el("div", { class: "card" });
  #errors = el("div", { class: "card" });
  #retries = el("div", { class: "card" });
  #list = el("div", { class: "card" });

  constructor(session) {
    this.#session = session;
    this.element = el("section", {}, el("h1", {}, "Lately"), this.#figures, this.#timeline,
      el("div", { class: "two" }, this.#first, this.#whole, this.#errors, this.#retries), this.#list);
  }

  enter() {
    this.update();
    this.#timer = setInterval(() => this.update(), 10000);
  }

  leave() {
    clearInterval(this.#timer);
  }

  update() {
    const to = Date.now(), from = to - HOUR, turns = this.#session.turns.all.filter((turn) => !turn.endedAt || Date.parse(turn.endedAt) >= from);
    const ended = turns.filter((turn) => turn.state === "ended");
    const firsts = ended.filter((turn) => turn.firstWordAt && turn.outcome !== "replayed").map((turn) => [Date.parse(turn.askedAt), between(turn.askedAt, turn.firstWordAt)]);
    const wholes = ended.filter((turn) => turn.sentAt).map((turn) => [Date.parse(turn.askedAt), between(turn.sentAt, turn.endedAt)]);
    const failed = ended.filter((turn) => turn.outcome === "failed");
    const seconds = (samples, share) => duration(quantile(samples.map(([, value]) => value), share)) || "–";
    replace(this.#figures, ...[["Turns", ended.length], ["Failed", failed.length], ["First word, median", seconds(firsts, 0.5)], ["Whole turn, median", seconds(wholes, 0.5)]]
      .map(([name, value]) => el("div", { class: "card" }, el("h3", {}, name), el("div", { class: "figure" }, value))));
    replace(this.#timeline, el("h2", {}, "The last hour"), timeline(turns, from, to), legend(KINDS));
    replace(this.#first, el("h2", {}, "Time to the first word"), times(firsts, from, to, "Time to the first word"), plotLegend());
    replace(this.#whole, el("h2", {}, "Whole turns"), times(wholes, from, to, "Whole turns"), plotLegend());
    this.#drawErrors(failed);
    this.#drawRetries(turns);
    this.#drawList(turns);
  }

  #drawErrors(failed) {
    const counts = new Map();
    for (const turn of failed) counts.set(turn.code, (counts.get(turn.code) ?? 0) + 1);
    const most = Math.max(1, ...counts.values());
    replace(this.#errors, el("h2", {}, "Errors by code"), table(["Code", "", "Turns"], [...counts].sort((a, b) => b[1] - a[1]).map(([code, count]) => {
      const bar = el("span", { class: "bar" });
      bar.style.width = `${(count / most) * 100}%`;
      return [el("code", {}, code), el("td", { class: "wide" }, bar), el("td", { class: "num" }, count)];
    }), "No turn has failed."));
  }

  #drawRetries(turns) {
    const found = turns.filter((turn) => turn.retries || turn.outcome === "replayed" || turn.recoveredFrom);
    const prevented = turns.reduce((sum, turn) => sum + turn.retries, 0) + turns.filter((turn) => turn.outcome === "replayed").length;
    replace(this.#retries, el("h2", {}, `Second deliveries prevented: ${prevented}`),
      table(["Asked", "Agent", ""], found.slice(0, 20).map((turn) => [clock(turn.askedAt), named(turn.agentName),
        [turn.retries ? `${turn.retries} ${turn.retries === 1 ? "retry" : "retries"} got this turn` : "", turn.outcome === "replayed" ? "answered from an earlier turn" : "", turn.recoveredFrom ? `finished after ${turn.recoveredFrom}` : ""].filter(Boolean).join("; ")]), "No client has asked twice."));
  }

  #drawList(turns) {
    replace(this.#list, el("h2", {}, "Turns"), table(["Asked", "Agent", "Chat", "Key", "First word", "Whole", "Tokens", "Tools", ""], turns.slice(0, LISTED).map((turn) => [
      clock(turn.askedAt), named(turn.agentName), turn.chat === null ? el("span", { class: "soft" }, "default") : named(turn.chat), named(keyWords(turn.keyName)),
      duration(between(turn.askedAt, turn.firstWordAt)), duration(between(turn.sentAt, turn.endedAt)), turn.completionTokens || "",
      Object.entries(turn.tools).map(([tool, count]) => `${tool.slice(0, 40)} ×${count}`).join(", "),
      el("td", {}, el("span", { class: `pill ${TONES[turn.outcome ?? turn.state] ?? ""}` }, turn.outcome ?? turn.state), turn.code ? el("div", { class: "small soft" }, `${turn.code}, ${turn.delivery.replace("_", " ")}`) : null, texts(turn))]), "No turn in the last hour."));
  }
}

function texts(turn) {
  if (turn.question === null && turn.answer === null) return null;
  return el("details", {}, el("summary", { class: "small" }, "What was said"), longText(turn.question ?? "", { class: "said user" }), turn.answer === null ? null : longText(turn.answer, { class: "said" }));
}

function legend(kinds) {
  return el("div", { class: "legend" }, kinds.map((kind) => el("span", {}, el("i", { class: kind }), kind)));
}

function plotLegend() {
  return el("div", { class: "legend" }, el("span", {}, el("i", { class: "median" }), "median"), el("span", {}, el("i", { class: "high" }), "95th percentile"));
}
