// The list of classes with their counts at the left.

import { ask, byId, chip, el, linkTo, show } from "./dom.js";

const PAGE = 100; // classes per request
export const KIND_WORDS = { boxes: "boxes", positive: "present", negative: "absent", machine: "machine", masks: "masks" };

const list = byId("class-rows");
const search = byId("class-search");
let total = 0;
let shown = 0;
let asking = 0;
let handlers = null; // `search(mids, kind)` and `address(mids, kind)`
let active = new Set(); // MIDs that are searched

export function start(first, given) {
  handlers = given;
  search.addEventListener("input", () => { clearTimeout(search.timer); search.timer = setTimeout(() => load(0), 100); });
  list.addEventListener("scroll", () => {
    if (shown < total && list.scrollTop + list.clientHeight > list.scrollHeight - 200) load(shown);
  });
  if (first) fill(first, 0);
  else load(0);
}

export function markActive(mids) {
  active = new Set(mids);
  for (const row of list.children) {
    const chosen = active.has(row.dataset.mid);
    row.classList.toggle("active", chosen);
    const box = row.querySelector("input");
    if (box) box.checked = chosen;
  }
}

async function load(from) {
  const mine = (asking += 1);
  const answer = await ask("api/classes", { q: search.value.trim(), start: from, count: PAGE });
  if (mine === asking) fill(answer, from);
}

function fill(answer, from) {
  total = answer.total;
  if (!from) { list.replaceChildren(); list.scrollTop = 0; }
  list.append(...answer.classes.map(describe));
  shown = from + answer.classes.length;
  byId("class-total").textContent = `${show(total)} ${total === 1 ? "class" : "classes"}`;
  if (!total) list.append(el("li", { className: "muted" }, "No class has this name."));
  markActive(active);
}

function describe(one) {
  const box = el("input", { type: "checkbox", checked: active.has(one.mid), ariaLabel: `Search ${one.name}, too`, title: "Search this class, too" });
  box.addEventListener("change", () => {
    const others = [...active].filter((mid) => mid !== one.mid);
    handlers.search(box.checked ? [...others, one.mid] : others, "");
  });
  const go = (kind) => [handlers.address([one.mid], kind), () => handlers.search([one.mid], kind)];
  const name = linkTo("", ...go(""), { className: "name", title: one.mid });
  name.append(chip(one.colour), one.name);
  const counts = Object.keys(KIND_WORDS).filter((kind) => one[kind]).flatMap((kind) => [
    " ", linkTo(`${show(one[kind])} ${KIND_WORDS[kind]}`, ...go(kind), { className: "count" }),
  ]);
  const row = el("li", {}, box, el("div", {}, name, el("div", { className: "counts" }, ...counts)));
  row.dataset.mid = one.mid;
  return row;
}
