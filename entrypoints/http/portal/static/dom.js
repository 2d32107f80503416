// Makes elements. What comes from outside becomes text, never markup.

const SVG = "http://www.w3.org/2000/svg";
const LONG = 4000;

/** An element: properties, then children (texts, elements, or nothing). `on` has listeners, `class` its classes. */
export function el(name, properties = {}, ...children) {
  return filled(document.createElement(name), properties, children);
}

export function svg(name, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, name), properties, children);
}

function filled(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false).map(part));
  return element;
}

function part(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export function button(text, action, properties = {}) {
  return el("button", { type: "button", ...properties, on: { click: action } }, text);
}

/** Has to be clicked twice, so that nothing is stopped or deleted by mistake. */
export function carefulButton(text, sure, action, properties = {}) {
  let timer = 0;
  const made = button(text, () => {
    if (timer) {
      clearTimeout(timer);
      timer = 0;
      made.textContent = text;
      action();
      return;
    }
    made.textContent = sure;
    timer = setTimeout(() => { timer = 0; made.textContent = text; }, 4000);
  }, properties);
  return made;
}

/** A name from outside: it cannot turn the direction of what stands around it. */
export function named(text, properties = {}) {
  return el("span", { class: "name", ...properties }, cut(text ?? "", 200));
}

export function cut(text, length) {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** A text that may be long: the rest is shown when somebody wants it. */
export function longText(text, properties = {}) {
  const shown = el("div", properties, cut(text, LONG));
  if (text.length <= LONG) return shown;
  const more = button(`Show all ${text.length.toLocaleString()} characters`, () => { shown.textContent = text; }, { class: "quiet" });
  shown.append(more);
  return shown;
}

export function table(heads, rows, empty) {
  if (!rows.length) return el("p", { class: "empty" }, empty);
  return el("table", {},
    el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell))))));
}

export function field(label, input) {
  const id = `field-${Math.random().toString(36).slice(2)}`;
  input.id = id;
  return el("div", {}, el("label", { for: id }, label), input);
}

export function tick(label, checked = false) {
  const box = el("input", { type: "checkbox", checked });
  const made = field(label, box);
  made.className = "row";
  made.prepend(box);
  return [made, box];
}

/** Puts new content in place, unless somebody is using a control in it. */
export function replace(element, ...children) {
  if (element.contains(document.activeElement) && document.activeElement !== element) return false;
  element.replaceChildren(...children.filter(Boolean));
  return true;
}
