// The picture of an image with its boxes and masks: zooms, pans, and points at boxes together with their list.

import { byId, chip, clamp, el } from "./dom.js";

const pane = byId("pane");
const picture = byId("picture");
const overlay = byId("overlay");
const badges = byId("badges");
const MOST = 40; // screen pixels per pixel of the image
const OUTCOMES = ["missed", "detection: false", "matched", "detection: found", "detection: in a group"]; // errors come first
const PAN = 80; // screen pixels of a key

let facts = null;
let maskAddress = null;
let view = { scale: 1, x: 0, y: 0, fits: true };
const shown = { boxes: true, masks: true };
const hiddenGroups = new Set(); // classes, by outcome where there are detections; they stay hidden from image to image

const size = () => ({ width: facts.width || picture.naturalWidth, height: facts.height || picture.naturalHeight });

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// --- where the picture is ---

export function open(given, address) {
  close();
  facts = given;
  maskAddress = address;
  fit();
  draw();
}

export function close() {
  facts = null;
  overlay.replaceChildren();
  badges.replaceChildren();
}

function fit() {
  if (!facts) return;
  const { width, height } = size();
  const scale = width && height ? Math.min(pane.clientWidth / width, pane.clientHeight / height, MOST) : 1;
  view = { scale, x: (pane.clientWidth - width * scale) / 2, y: (pane.clientHeight - height * scale) / 2, fits: true };
  place();
}

function zoom(factor, x = pane.clientWidth / 2, y = pane.clientHeight / 2) {
  if (!facts) return;
  const { width, height } = size();
  const least = Math.min(1, pane.clientWidth / width, pane.clientHeight / height) / 2;
  const scale = clamp(view.scale * factor, least, MOST);
  const ratio = scale / view.scale;
  view = { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio, fits: false };
  place();
}

function pan(x, y) {
  view = { ...view, x: view.x + x, y: view.y + y, fits: false };
  place();
}

function place() {
  const { width, height } = size();
  // A part of the picture stays in sight.
  const keep = Math.min(40, width * view.scale, height * view.scale);
  view.x = clamp(view.x, keep - width * view.scale, pane.clientWidth - keep);
  view.y = clamp(view.y, keep - height * view.scale, pane.clientHeight - keep);
  for (const { style } of [picture, overlay]) {
    style.left = `${view.x}px`;
    style.top = `${view.y}px`;
    style.width = `${width * view.scale}px`;
    style.height = `${height * view.scale}px`;
  }
  picture.classList.toggle("pixels", view.scale >= 3);
  byId("zoom-size").textContent = `${Math.round(view.scale * 100)} %`;
  placeBadges();
}

function placeBadges() {
  const { width, height } = size();
  for (const badge of badges.children) {
    const [xmin, ymin] = facts.boxes[badge.dataset.place].box;
    const top = view.y + ymin * height * view.scale;
    // Above the box where there is room, else inside it.
    const above = top - badge.offsetHeight >= 0 ? top - badge.offsetHeight : Math.max(0, top);
    const left = clamp(view.x + xmin * width * view.scale, 0, Math.max(0, pane.clientWidth - badge.offsetWidth));
    badge.style.transform = `translate(${left}px, ${above}px)`;
    badge.hidden = top > pane.clientHeight || left + badge.offsetWidth < 0;
  }
}

// --- boxes and masks ---

const groupOf = (box) => `${box.outcome || ""} ${box.mid}`;
const isVisible = (box) => !hiddenGroups.has(groupOf(box));
const area = ([xmin, ymin, xmax, ymax]) => (xmax - xmin) * (ymax - ymin);

function draw() {
  overlay.replaceChildren();
  badges.replaceChildren();
  point([]);
  if (!facts) return;
  const { width, height } = size();
  overlay.setAttribute("viewBox", `0 0 ${width || 1} ${height || 1}`);
  // Large boxes come first, so that small ones stay on top.
  const places = facts.boxes.map((_, number) => number).filter((number) => isVisible(facts.boxes[number]));
  places.sort((one, other) => area(facts.boxes[other].box) - area(facts.boxes[one].box));
  for (const number of places) drawBox(facts.boxes[number], number, width, height);
  place();
}

function drawBox(box, number, width, height) {
  const [xmin, ymin, xmax, ymax] = box.box;
  const corner = { x: xmin * width, y: ymin * height, width: Math.max(0, xmax - xmin) * width, height: Math.max(0, ymax - ymin) * height };
  const group = svg("g", { "data-place": number });
  if (box.mask && shown.masks) {
    const shape = svg("mask", { id: `mask-${number}` });
    shape.append(svg("image", { href: maskAddress(number), width, height, preserveAspectRatio: "none" }));
    group.append(shape, svg("rect", { width, height, class: "mask", fill: box.colour, mask: `url(#mask-${number})` }));
  }
  if (shown.boxes) {
    group.append(
      svg("rect", { ...corner, class: "shade" }),
      svg("rect", { ...corner, class: "box", stroke: box.colour, "stroke-dasharray": box.dashes || (box.flags.includes("group_of") ? "7 4" : "") }),
    );
    const badge = el("span", { className: "badge" }, box.label || box.name);
    badge.style.background = box.colour;
    badge.style.color = box.ink;
    badge.dataset.place = number;
    badges.append(badge);
  }
  overlay.append(group);
}

function point(places) {
  for (const layer of [overlay, badges]) {
    layer.classList.toggle("some", places.length > 0);
    for (const one of layer.children) one.classList.toggle("active", places.includes(Number(one.dataset.place)));
  }
  for (const row of document.querySelectorAll("#facts li[data-place]")) row.classList.toggle("active", places.includes(Number(row.dataset.place)));
}

export function toggle(layer) {
  shown[layer] = !shown[layer];
  byId(`toggle-${layer}`).setAttribute("aria-pressed", String(shown[layer]));
  draw();
}

// --- the list of boxes ---

export function listBoxes(given, classLink, tag) {
  const { width, height } = given;
  const groups = new Map();
  given.boxes.forEach((box, number) => groups.set(groupOf(box), [...(groups.get(groupOf(box)) || []), number]));
  const rank = (places) => OUTCOMES.indexOf(given.boxes[places[0]].outcome);
  const ordered = [...groups.values()].sort((one, other) => rank(one) - rank(other));
  return el("ul", { className: "box-classes" }, ...ordered.map((places) => {
    const box = given.boxes[places[0]];
    const check = el("input", { type: "checkbox", checked: isVisible(box), ariaLabel: `Show ${[box.name, box.outcome].filter((part) => part).join(", ")}`, title: "Show the boxes of this class" });
    check.addEventListener("change", () => {
      hiddenGroups[check.checked ? "delete" : "add"](groupOf(box));
      draw();
    });
    const head = el("div", {}, check, " ", chip(box.colour), classLink(box, "boxes"), el("span", { className: "muted" }, ` ${places.length}`), tag(box.outcome));
    for (const [name, chosen] of [["mouseenter", places], ["mouseleave", []]]) head.addEventListener(name, () => point(chosen));
    return el("li", {}, head, el("ul", {}, ...places.map((number) => describeBox(given.boxes[number], number, width, height, tag))));
  }));
}

function describeBox(box, number, width, height, tag) {
  const [xmin, ymin, xmax, ymax] = box.box;
  const pixels = width && height ? `${Math.round((xmax - xmin) * width)} × ${Math.round((ymax - ymin) * height)} px` : "";
  const where = `x ${xmin.toFixed(3)}–${xmax.toFixed(3)}, y ${ymin.toFixed(3)}–${ymax.toFixed(3)}`;
  const row = el("li", { tabIndex: 0 }, el("span", { className: "where" }, [pixels, where].filter((part) => part).join(" · ")),
    ...box.flags.map(tag), tag(box.source), box.confidence === null ? null : tag(`confidence ${Number(box.confidence.toFixed(3))}`), box.mask ? tag("mask") : null);
  row.dataset.place = number;
  for (const name of ["mouseenter", "focus"]) row.addEventListener(name, () => point([number]));
  for (const name of ["mouseleave", "blur"]) row.addEventListener(name, () => point([]));
  return row;
}

// --- what a person does ---

pane.addEventListener("wheel", (event) => {
  event.preventDefault();
  const at = pane.getBoundingClientRect();
  // A line of a wheel is about 16 pixels.
  zoom(Math.exp(-(event.deltaMode ? 16 * event.deltaY : event.deltaY) / 400), event.clientX - at.left, event.clientY - at.top);
}, { passive: false });

let held = null; // where the pointer holds the picture

pane.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest("button")) return;
  held = { x: event.clientX, y: event.clientY };
  pane.setPointerCapture(event.pointerId);
});
pane.addEventListener("pointermove", (event) => {
  if (!facts) return;
  if (held) {
    pan(event.clientX - held.x, event.clientY - held.y);
    held = { x: event.clientX, y: event.clientY };
    return;
  }
  const at = pane.getBoundingClientRect();
  const { width, height } = size();
  const x = (event.clientX - at.left - view.x) / (width * view.scale);
  const y = (event.clientY - at.top - view.y) / (height * view.scale);
  pointAt(x, y);
});
for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, () => { held = null; });
pane.addEventListener("pointerleave", () => { if (!held) point([]); });
pane.addEventListener("dblclick", fit);

// The smallest box under the pointer is meant.
function pointAt(x, y) {
  let best = -1;
  facts.boxes.forEach((box, number) => {
    const [xmin, ymin, xmax, ymax] = box.box;
    const inside = isVisible(box) && x >= xmin && x <= xmax && y >= ymin && y <= ymax;
    if (inside && (best < 0 || area(box.box) < area(facts.boxes[best].box))) best = number;
  });
  point(best < 0 ? [] : [best]);
  if (best >= 0) document.querySelector(`#facts li[data-place="${best}"]`)?.scrollIntoView({ block: "nearest" });
}

export const KEYS = {
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit, 1: () => zoom(1 / view.scale),
  b: () => toggle("boxes"), m: () => toggle("masks"),
};
export const SHIFT_KEYS = {
  ArrowLeft: () => pan(PAN, 0), ArrowRight: () => pan(-PAN, 0), ArrowUp: () => pan(0, PAN), ArrowDown: () => pan(0, -PAN),
};

byId("zoom-in").addEventListener("click", KEYS["+"]);
byId("zoom-out").addEventListener("click", KEYS["-"]);
byId("zoom-fit").addEventListener("click", fit);
for (const layer of ["boxes", "masks"]) byId(`toggle-${layer}`).addEventListener("click", () => toggle(layer));
picture.addEventListener("load", () => { if (facts && view.fits) { fit(); draw(); } });
new ResizeObserver(() => { if (!facts) return; if (view.fits) fit(); else place(); }).observe(pane);
