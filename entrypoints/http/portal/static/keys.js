// API keys, for admins: make, list, revoke.

import { call } from "./api.js";
import { carefulButton, el, field, named, table, tick } from "./dom.js";
import { copied } from "./connect.js";
import { day } from "./words.js";

export class KeysView {
  #rows = el("div", { class: "card" });
  #new = el("div", { role: "status", "aria-live": "polite" });
  #error = el("p", { class: "error", role: "alert" });

  constructor() {
    const name = el("input", { required: true, maxlength: 64, autocomplete: "off" }), agents = el("input", { placeholder: "all" }), expires = el("input", { placeholder: "never; such as 90d", size: 16 });
    const [usage, usageBox] = tick("reports tokens"), [share, shareBox] = tick("has the main key's chats"), [admin, adminBox] = tick("admin");
    const form = el("form", { class: "form", on: { submit: (event) => { event.preventDefault(); void this.#make(form, { name: name.value.trim(), agents: agents.value.trim() ? agents.value.split(",").map((each) => each.trim()).filter(Boolean) : null, expires: expires.value.trim() || null, usage: usageBox.checked, shareChats: shareBox.checked, admin: adminBox.checked }); } } },
      field("Name", name), field("Agents, with commas", agents), field("Ends", expires), usage, share, admin, el("button", { type: "submit", class: "main" }, "Make a key"));
    this.element = el("section", {}, el("h1", {}, "Keys"), el("div", { class: "card" }, form, this.#error, this.#new), this.#rows);
  }

  enter() {
    void this.#list();
  }

  leave() {
    // A secret is shown once.
    this.#new.replaceChildren();
  }

  async #list() {
    try {
      const { keys } = await call("GET", "/api/v1/keys");
      this.#rows.replaceChildren(el("h2", {}, "Keys that have names"), table(["Name", "Made", "Ends", "Agents", "", ""], keys.map((each) => [
        named(each.name), day(each.createdAt), each.expiresAt && Date.parse(each.expiresAt) < Date.now() ? el("span", { class: "pill bad" }, "expired") : day(each.expiresAt),
        each.agents.length ? each.agents.map((agent) => el("div", {}, named(agent))) : "all",
        el("td", {}, [each.admin && "admin", each.usage && "tokens", each.shareChats && "shared chats", !each.chatHeaders && "no chats"].filter(Boolean).map((word) => el("span", { class: "pill" }, word))),
        el("td", { class: "act" }, carefulButton("Revoke", "Really revoke?", () => void this.#revoke(each.name), { class: "danger" }))]), "There are none: only the main key works."));
    } catch (failure) {
      this.#error.textContent = failure.message;
    }
  }

  async #make(form, wish) {
    this.#error.textContent = "";
    try {
      const made = await call("POST", "/api/v1/keys", { body: wish });
      this.#new.replaceChildren(el("p", {}, "The key of ", named(made.name), ". It is shown this once:"), copied(made.key));
      form.reset();
      await this.#list();
    } catch (failure) {
      this.#error.textContent = failure.message;
    }
  }

  async #revoke(name) {
    try {
      await call("DELETE", `/api/v1/keys/${encodeURIComponent(name)}`);
    } catch (failure) {
      this.#error.textContent = failure.message;
    }
    await this.#list();
  }
}
