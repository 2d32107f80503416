// What to paste into clients, for this very address.

import { base, call } from "./api.js";
import { button, el } from "./dom.js";

const OPEN_WEBUI = '{"X-Chat-Id": "{{CHAT_ID}}", "X-Message-Id": "{{MESSAGE_ID}}", "X-User-Message-Id": "{{USER_MESSAGE_ID}}", "X-Parent-Id": "{{USER_MESSAGE_PARENT_ID}}", "X-Task": "{{TASK}}", "X-User-Id": "{{USER_ID}}"}';

/** A text to copy. */
export function copied(text) {
  const shown = el("pre", { tabindex: 0 }, text);
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      // Not over TLS: the browser lets nobody copy, so it is marked.
      getSelection().selectAllChildren(shown);
      copy.textContent = "Marked: press Ctrl-C";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 3000);
  });
  return el("div", {}, shown, copy);
}

export class ConnectView {
  #body = el("div", {});

  constructor() {
    this.element = el("section", {}, el("h1", {}, "Connect"), this.#body);
  }

  async enter() {
    let model = "lettabot";
    try {
      model = (await call("GET", "/v1/models")).data[0]?.id ?? model;
    } catch { /* the examples are as good with any name */ }
    const url = `${location.origin}${base}/v1`, name = JSON.stringify(model);
    const card = (title, ...parts) => el("div", { class: "card" }, el("h2", {}, title), ...parts);
    this.#body.replaceChildren(
      card("Any OpenAI client", el("p", {}, "The address; the key is yours (", el("code", {}, "lettabot key show"), " prints it):"), copied(url)),
      card("Open WebUI", el("p", {}, "Admin settings, Connections, OpenAI API, add a connection: this URL, your key, and into Headers this line, so that each chat is a conversation of its own:"), copied(url), copied(OPEN_WEBUI)),
      card("Python", copied(`from openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(url)}, api_key="YOUR_API_KEY")\nanswer = client.chat.completions.create(\n    model=${name},\n    messages=[{"role": "user", "content": "Hello"}],\n)\nprint(answer.choices[0].message.content)`)),
      card("curl", copied(`curl ${url}/chat/completions \\\n  -H "Authorization: Bearer YOUR_API_KEY" \\\n  -H "Content-Type: application/json" \\\n  -d '${JSON.stringify({ model, messages: [{ role: "user", content: "Hello" }] }).replaceAll("'", "'\\''")}'`)));
  }
}
