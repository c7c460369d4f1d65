// What all parts of the page use: elements, numbers, and questions to the server.

const integer = new Intl.NumberFormat("en-US");

export const byId = (id) => document.getElementById(id);
export const show = (value) => integer.format(value);
export const count = (value, noun) => `${show(value)} ${noun}${value === 1 ? "" : noun === "box" ? "es" : "s"}`;
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria")) element.setAttribute(`aria-${key.slice(4).toLowerCase()}`, value);
    else if (key === "role") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export async function ask(path, values) {
  const response = await fetch(`${path}?${new URLSearchParams(values)}`);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// A link that the page follows by itself; with Ctrl or Shift, the browser opens a tab or window as always.
export function linkTo(text, href, follow, properties = {}) {
  const anchor = el("a", { href, ...properties }, text);
  anchor.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    follow();
  });
  return anchor;
}

export function chip(colour) {
  const element = el("span", { className: "chip" });
  element.style.background = colour;
  return element;
}
