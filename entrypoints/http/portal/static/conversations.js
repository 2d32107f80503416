// The conversations of an agent: read, name, fork, delete, and say which chat goes there.

import { call } from "./api.js";
import { button, carefulButton, cut, el, field, longText, named } from "./dom.js";
import { day, keyWords } from "./words.js";

const PAGE = 50;

export class ConversationsView {
  #session;
  #agents = el("select", { on: { change: () => void this.#list() } });
  #error = el("p", { class: "error", role: "alert" });
  #rows = el("div", {});
  #read = el("div", { class: "card" }, el("p", { class: "empty" }, "Choose a conversation."));
  #key = el("input", { maxlength: 200, placeholder: "your name for the chat" });
  #chosen = null;

  constructor(session) {
    this.#session = session;
    this.element = el("section", {}, el("h1", {}, "Conversations"),
      el("div", { class: "card form" }, field("Agent", this.#agents), session.isAdmin ? null : field("Chat key of new ones", this.#key), button("New conversation", () => void this.#make({})), button("Look again", () => void this.#list(), { class: "quiet" })),
      this.#error, el("div", { class: "list" }, el("div", { class: "card" }, this.#rows), this.#read));
  }

  async enter() {
    await this.#try(async () => {
      const listed = await call("GET", "/v1/models");
      const chosen = this.#agents.value;
      this.#agents.replaceChildren(...listed.data.slice(0, 500).map((model) => el("option", { value: model.id }, cut(model.id, 80))));
      if (chosen) this.#agents.value = chosen;
      await this.#list();
    });
  }

  get #query() {
    return `agent=${encodeURIComponent(this.#agents.value)}`;
  }

  async #try(work) {
    try {
      this.#error.textContent = "";
      await work();
    } catch (failure) {
      this.#error.textContent = failure.message;
    }
  }

  async #list(after = null) {
    await this.#try(async () => {
      const page = await call("GET", `/api/v1/conversations?${this.#query}&limit=${PAGE}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
      if (!after) this.#rows.replaceChildren(this.#row({ id: "default", summary: "Default history", chats: [] }));
      this.#rows.append(...page.conversations.map((each) => this.#row(each)));
      if (!after && !page.conversations.length) this.#rows.append(el("p", { class: "empty" }, "There are no others."));
      if (page.hasMore) {
        const more = button("Older ones", () => { more.remove(); void this.#list(page.conversations.at(-1).id); }, { class: "quiet" });
        this.#rows.append(more);
      }
    });
  }

  #row(conversation) {
    const chats = conversation.chats.map((chat) => `${chat.key === null ? "messages without a chat key" : cut(chat.key, 60)}${chat.keyName ? ` (${keyWords(chat.keyName)})` : ""}`);
    const row = button("", () => void this.#open(conversation, row), { class: "pick", "data-conversation": conversation.id });
    row.append(named(conversation.summary || conversation.id), el("div", { class: "small soft" }, [day(conversation.updatedAt ?? conversation.createdAt ?? null), conversation.messageCount !== null && conversation.messageCount !== undefined ? `${conversation.messageCount} messages` : null, chats.join(", ")].filter((part) => part && part !== "never").join(" · ")));
    return row;
  }

  async #open(conversation, row) {
    for (const each of this.#rows.querySelectorAll("[aria-current]")) each.removeAttribute("aria-current");
    row?.setAttribute("aria-current", "true");
    this.#chosen = conversation;
    const messages = el("div", { class: "talk" });
    this.#read.replaceChildren(el("h2", {}, named(conversation.summary || conversation.id)), this.#actions(conversation), messages);
    await this.#try(() => this.#page(conversation, messages, null));
  }

  async #page(conversation, messages, before) {
    const page = await call("GET", `/api/v1/conversations/${encodeURIComponent(conversation.id)}/messages?${this.#query}&limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
    if (this.#chosen !== conversation) return;
    const shown = page.messages.flatMap((message) => this.#message(message));
    messages.prepend(...shown);
    if (page.hasMore) {
      const more = button("Earlier messages", () => { more.remove(); void this.#try(() => this.#page(conversation, messages, page.messages[0].id)); }, { class: "quiet" });
      messages.prepend(more);
    }
    if (!before && !shown.length) messages.append(el("p", { class: "empty" }, "Nothing was said yet, or the backend does not tell."));
    if (!before) messages.scrollTop = messages.scrollHeight;
  }

  #message(message) {
    const parts = [];
    if (message.reasoning) parts.push(longText(message.reasoning, { class: "said thought" }));
    for (const tool of message.toolCalls ?? []) {
      parts.push(el("details", { class: "tool" }, el("summary", {}, named(tool.name), tool.isError ? " (failed)" : ""), el("pre", {}, cut(JSON.stringify(tool.input, null, 2) ?? "", 20000)), el("pre", {}, cut(tool.result ?? "", 20000))));
    }
    if (message.text) parts.push(longText(message.text, { class: `said ${message.role === "user" ? "user" : ""}`, title: day(message.at) }));
    return parts;
  }

  #actions(conversation) {
    const path = `/api/v1/conversations/${encodeURIComponent(conversation.id)}`, agent = () => this.#agents.value;
    const chat = el("input", { placeholder: this.#session.isAdmin ? "chat key; empty: messages without one" : "chat key", "aria-label": "Chat key", maxlength: 200 });
    const assign = button("Send this chat here", () => void this.#try(async () => {
      const body = { agent: agent(), conversationId: conversation.id };
      if (chat.value.trim()) body.key = chat.value.trim();
      await call("POST", "/api/v1/conversation", { body });
      await this.#list();
    }));
    if (conversation.id === "default") return el("div", { class: "form" }, this.#session.isAdmin ? button("Messages without a chat key go here", () => void this.#try(async () => { await call("POST", "/api/v1/conversation", { body: { agent: agent(), conversationId: "default" } }); await this.#list(); })) : null);
    const name = el("input", { value: conversation.summary ?? "", "aria-label": "Name", maxlength: 300 });
    return el("div", { class: "form" },
      el("div", { class: "buttons" }, name, button("Rename", () => void this.#try(async () => { await call("PATCH", path, { body: { agent: agent(), summary: name.value } }); await this.#list(); }))),
      el("div", { class: "buttons" }, chat, assign),
      el("div", { class: "buttons" }, button("Fork", () => void this.#make({ forkOf: conversation.id })),
        carefulButton("Delete", "Really delete?", () => void this.#try(async () => { await call("DELETE", `${path}?${this.#query}`); this.#read.replaceChildren(el("p", { class: "empty" }, "Deleted.")); await this.#list(); }), { class: "danger" })));
  }

  async #make(more) {
    await this.#try(async () => {
      await call("POST", "/api/v1/conversations", { body: { agent: this.#agents.value, ...(this.#session.isAdmin ? {} : { key: this.#key.value.trim() || null }), ...more } });
      await this.#list();
    });
  }
}
