// Talk to an agent: its answer as it comes, its tools, and the calls that it wants approved.

import { ApiFailure, call, events, failureOf, newId, send } from "./api.js";
import { button, cut, el, field, longText, named } from "./dom.js";

const SHOWN = 20000;

export class TryView {
  #agents = el("select", {});
  #chat = el("input", { placeholder: "none: the default history", maxlength: 200 });
  #talk = el("div", { class: "talk", "aria-live": "polite", "aria-label": "The conversation" });
  #text = el("textarea", { placeholder: "Say something", required: true });
  #send = el("button", { type: "submit", class: "main" }, "Send");
  #stop = button("Stop", () => this.#running?.abort(), { hidden: true });
  #running = null;

  constructor() {
    const form = el("form", { class: "write", on: { submit: (event) => { event.preventDefault(); void this.#say(this.#text.value); } } },
      field("Message", this.#text), el("div", { class: "buttons" }, this.#stop, this.#send));
    this.#text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
    });
    this.element = el("section", {}, el("h1", {}, "Try"),
      el("div", { class: "card form" }, field("Agent", this.#agents), field("Chat key", this.#chat), button("Clear the screen", () => this.#talk.replaceChildren(), { class: "quiet" })),
      el("div", { class: "card" }, this.#talk, form));
  }

  async enter() {
    try {
      const listed = await call("GET", "/v1/models");
      const chosen = this.#agents.value;
      this.#agents.replaceChildren(...listed.data.slice(0, 500).map((model) => el("option", { value: model.id }, cut(model.id, 80))));
      if (chosen) this.#agents.value = chosen;
    } catch (failure) {
      this.#show(el("div", { class: "said failure" }, failure.message));
    }
  }

  /** One click is one message: the same id goes along when it has to be asked again. */
  async #say(text, id = newId()) {
    if (this.#running || !text.trim()) return;
    this.#text.value = "";
    this.#show(longText(text, { class: "said user" }));
    await this.#ask(text, id);
  }

  async #ask(text, id) {
    this.#running = new AbortController();
    this.#busy(true);
    for (const each of this.#talk.querySelectorAll(".approval button")) each.disabled = true;
    const answer = new Answer((element) => this.#show(element), (verdict) => void this.#say(verdict));
    const headers = { accept: "text/event-stream", "idempotency-key": id };
    if (this.#chat.value.trim()) headers["x-letta-chat-key"] = encodeURIComponent(this.#chat.value.trim()).replace(/%20/g, " ");
    try {
      const sent = await send("POST", "/api/v1/chat", { body: { message: text, agent: this.#agents.value }, headers, signal: this.#running.signal });
      if (!sent.ok) throw await failureOf(sent);
      for await (const event of events(sent)) answer.add(event);
      if (!answer.hasEnded) throw new ApiFailure(0, "The connection broke before the answer was whole.");
    } catch (failure) {
      if (failure.name === "AbortError") this.#show(el("div", { class: "said thought" }, "Stopped. The agent may have finished what it was doing."));
      else this.#failed(failure, text, id);
    }
    this.#running = null;
    this.#busy(false);
    this.#text.focus();
  }

  #failed(failure, text, id) {
    const shown = el("div", { class: "said failure" }, failure.message);
    if (failure.status === 0) {
      shown.append(el("div", { class: "buttons" }, button("Ask again", () => { shown.remove(); void this.#ask(text, id); }), el("span", { class: "small" }, "It is the same message: the agent does not get it twice.")));
    }
    this.#show(shown);
  }

  #busy(is) {
    this.#send.disabled = is;
    this.#stop.hidden = !is;
    this.#talk.setAttribute("aria-busy", String(is));
  }

  #show(element) {
    const follows = this.#talk.scrollHeight - this.#talk.scrollTop - this.#talk.clientHeight < 80;
    this.#talk.append(element);
    if (follows) this.#talk.scrollTop = this.#talk.scrollHeight;
  }
}

/** Puts the events of one answer on the screen, piece by piece. */
class Answer {
  #show;
  #decide;
  #open = null;
  #tools = new Map();
  hasEnded = false;

  constructor(show, decide) {
    this.#show = show;
    this.#decide = decide;
  }

  add(event) {
    if (event.type === "assistant") this.#piece("said", event.content);
    else if (event.type === "reasoning") this.#piece("said thought", event.content);
    else if (event.type === "tool_call") this.#call(event);
    else if (event.type === "tool_result") this.#result(event);
    else if (event.type === "approval_request") this.#approval(event);
    else if (event.type === "result") this.#end(event);
  }

  #piece(kind, text) {
    if (this.#open?.kind !== kind) {
      const node = document.createTextNode("");
      const element = el("div", { class: kind }, node);
      this.#open = { kind, node, element, text: "" };
      this.#show(element);
    }
    const open = this.#open;
    open.text += text;
    if (open.node.length < SHOWN) open.node.appendData(text.slice(0, SHOWN - open.node.length));
    if (open.text.length > SHOWN && !open.more) {
      open.more = button("Show all", () => { open.node.data = open.text; open.more.remove(); }, { class: "quiet" });
      open.element.append(open.more);
    }
  }

  #call(event) {
    this.#open = null;
    let tool = this.#tools.get(event.toolCallId);
    if (!tool) {
      tool = { input: el("pre", {}), result: el("pre", {}), state: el("span", { class: "pill" }, "running") };
      tool.element = el("details", { class: "tool" }, el("summary", {}, named(event.toolName), " ", tool.state), el("h3", {}, "Input"), tool.input, el("h3", {}, "Result"), tool.result);
      this.#tools.set(event.toolCallId, tool);
      this.#show(tool.element);
    }
    tool.input.append(cut(typeof event.toolInput === "string" ? event.toolInput : JSON.stringify(event.toolInput, null, 2), SHOWN));
  }

  #result(event) {
    this.#open = null;
    const tool = this.#tools.get(event.toolCallId);
    if (!tool) return;
    tool.state.textContent = event.isError ? "failed" : "done";
    tool.state.className = `pill ${event.isError ? "bad" : "good"}`;
    if (tool.result.textContent.length < SHOWN) tool.result.append(cut(event.content, SHOWN));
  }

  #approval(event) {
    this.#open = null;
    const why = el("input", { placeholder: "why not (for the agent)", "aria-label": "Reason" });
    const decide = (verdict) => { for (const each of box.querySelectorAll("button")) each.disabled = true; this.#decide(verdict); };
    const box = el("div", { class: "approval", role: "group", "aria-label": "Approval" },
      el("p", {}, "The agent wants to use ", named(event.toolName), "."), el("pre", {}, cut(typeof event.toolInput === "string" ? event.toolInput : JSON.stringify(event.toolInput, null, 2), SHOWN)),
      el("div", { class: "buttons" }, button("Approve", () => decide("/approve"), { class: "main" }), button("Deny", () => decide(`/deny ${why.value}`.trim()), { class: "danger" }), why));
    this.#show(box);
    for (const each of box.querySelectorAll("button")) each.disabled = true;
    this.waiting = box;
  }

  #end(event) {
    this.hasEnded = true;
    if (!event.success) this.#show(el("div", { class: "said failure" }, cut(event.error ?? "The turn failed.", 2000)));
    // Only now the agent waits for the answer.
    setTimeout(() => { for (const each of this.waiting?.querySelectorAll("button") ?? []) each.disabled = false; }, 0);
  }
}
