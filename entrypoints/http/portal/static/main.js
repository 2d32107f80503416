// The frame of the page: asks for the key, shows one view at a time, and says when the service is away.

import { call, key, listen } from "./api.js";
import { el } from "./dom.js";
import { Turns } from "./turns.js";
import { NowView } from "./now.js";
import { LatelyView } from "./lately.js";
import { TryView } from "./try.js";
import { ConversationsView } from "./conversations.js";
import { KeysView } from "./keys.js";
import { ConnectView } from "./connect.js";

const find = (id) => document.getElementById(id);
const VIEWS = [
  ["now", "Now", NowView],
  ["lately", "Lately", LatelyView],
  ["try", "Try", TryView],
  ["conversations", "Conversations", ConversationsView],
  ["keys", "Keys", KeysView],
  ["connect", "Connect", ConnectView],
];

let session = null;

class Session {
  #views = new Map();
  #shown = null;

  constructor(capabilities) {
    this.capabilities = capabilities;
    this.isAdmin = capabilities.key.admin;
    this.turns = new Turns(() => this.#shown?.update?.());
    this.names = VIEWS.filter(([id]) => id !== "keys" || this.isAdmin);
    find("version").textContent = capabilities.version;
    find("who").textContent = capabilities.key.name || "main key";
    find("forget").hidden = false;
    find("tabs").replaceChildren(...this.names.map(([id, name]) => el("button", {
      type: "button", role: "tab", id: `tab-${id}`, "aria-controls": "content", on: { click: () => { location.hash = id; }, keydown: (event) => this.#move(event, id) },
    }, name)));
    void this.turns.watch();
    this.show();
  }

  show() {
    const wanted = this.names.find(([id]) => id === location.hash.slice(1)) ?? this.names[0];
    const [id, name, View] = wanted;
    this.#shown?.leave?.();
    if (!this.#views.has(id)) this.#views.set(id, new View(this));
    this.#shown = this.#views.get(id);
    for (const tab of find("tabs").children) {
      const isIt = tab.id === `tab-${id}`;
      tab.setAttribute("aria-selected", String(isIt));
      tab.tabIndex = isIt ? 0 : -1;
    }
    document.title = `${name} · lettabot`;
    find("content").replaceChildren(this.#shown.element);
    find("content").setAttribute("role", "tabpanel");
    find("content").setAttribute("aria-labelledby", `tab-${id}`);
    this.#shown.enter?.();
  }

  end() {
    this.turns.stop();
    this.#shown?.leave?.();
    find("content").replaceChildren();
    find("tabs").replaceChildren();
    find("who").textContent = "";
    find("forget").hidden = true;
  }

  #move(event, id) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = this.names.findIndex(([name]) => name === id);
    const [next] = this.names[(at + step + this.names.length) % this.names.length];
    location.hash = next;
    find(`tab-${next}`).focus();
  }
}

function askForKey(why = "") {
  session?.end();
  session = null;
  key.forget();
  find("key-error").textContent = why;
  find("key").value = "";
  if (!find("ask").open) find("ask").showModal();
}

async function begin() {
  try {
    const capabilities = await call("GET", "/api/v1/capabilities");
    if (find("ask").open) find("ask").close();
    session?.end();
    session = new Session(capabilities);
  } catch (failure) {
    // Without an answer the key may be right: it is tried again when the service is back.
    if (failure.status && failure.status !== 401) {
      find("key-error").textContent = failure.message;
      if (!find("ask").open) find("ask").showModal();
    }
  }
}

listen((what) => {
  const banner = find("banner");
  if (what === "refused") askForKey("This key is wrong, or was revoked.");
  if (what === "lost") {
    banner.textContent = "The service does not answer. Trying again …";
    banner.hidden = false;
  }
  if (what === "back") {
    banner.hidden = true;
    if (session === null && key.get()) void begin();
  }
});

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(find("key").value.trim());
  find("key-error").textContent = "";
  void begin();
});
find("ask").addEventListener("cancel", (event) => event.preventDefault());
find("forget").addEventListener("click", () => askForKey());
window.addEventListener("hashchange", () => session?.show());

if (key.get()) void begin();
else askForKey();
