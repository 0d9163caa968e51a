// Making elements. Text only ever becomes a text node, whatever it holds.

export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else element.setAttribute(key, value);
  }
  element.append(...shown(children));
  return element;
}

// Puts these in the place of what an element holds.
export function fill(element, ...children) {
  element.replaceChildren(...shown(children));
}

function shown(children) {
  return children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== "");
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// A text with some of its byte ranges marked; the ranges count bytes of UTF-8, as the service does.
export function marked(text, ranges = []) {
  if (!ranges.length) return [text];
  const bytes = encoder.encode(text);
  const pieces = [];
  let at = 0;
  for (const { start, end } of ranges) {
    if (start < at || end > bytes.length) continue;
    pieces.push(decoder.decode(bytes.subarray(at, start)));
    pieces.push(make("mark", {}, decoder.decode(bytes.subarray(start, end))));
    at = end;
  }
  pieces.push(decoder.decode(bytes.subarray(at)));
  return pieces;
}

// A long text whose rest unfolds.
export function folded(text, limit, label) {
  if (text.length <= limit) return make("div", { class: "text" }, text);
  return make("div", { class: "text" }, [...text].slice(0, limit).join(""), "… ",
    make("button", { type: "button", class: "link", onclick: (event) => {
      event.target.parentElement.replaceChildren(text);
    } }, label));
}
