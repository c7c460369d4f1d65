// The pages: the grid of images, the page of an image, and the searches that both show. The address holds the state.

import * as classList from "./class-list.js";
import { ask, byId, chip, clamp, count, el, linkTo, show } from "./dom.js";
import * as marks from "./marks.js";
import * as drawing from "./picture.js";
import * as rejects from "./rejects.js";

const grid = byId("grid");
const space = byId("space");
const search = byId("search");
const suggestions = byId("suggestions");
const viewer = byId("viewer");
const picture = byId("picture");

const PAGE = 100; // images per request
const MOST_PIXELS = 8e6; // browsers cut off elements that are higher than about 17 million pixels
const first = JSON.parse(byId("first").textContent); // the first answers, which came with the page
const FLAGS = ["group_of", "occluded", "truncated", "depiction", "inside"];
const CONDITIONS = ["class", "match", "kind", "id", "split", ...FLAGS, "source", "min_boxes", "max_boxes", "outcome"];
const FILTERS = [...CONDITIONS, "sort", "seed", "score"]; // what the list of images depends on
const PARAMETERS = [...FILTERS, "tiles", "rejects", "image"];

let state = {}; // the parameters of the address
let version = "";
let searched = []; // the classes of the address: text, and what the text stands for
let total = 0;
let pages = new Map(); // number of a page -> its images, or a promise of them
let generation = 0; // grows with each search, so that late answers are recognised
let selected = -1;
let opened = null; // the facts of the image that is shown
let opening = 0; // number of images that are being loaded
let steps = 0; // images to step on from the image that is shown; negative for back

function say(text, bad = false) {
  byId("count").textContent = text;
  byId("count").classList.toggle("bad", bad);
}

// --- the address ---

const filters = () => Object.fromEntries(FILTERS.filter((name) => state[name]).map((name) => [name, state[name]]));
const address = (values) => {
  const kept = Object.entries(values).filter(([, value]) => value);
  return kept.length ? `?${new URLSearchParams(kept)}` : location.pathname;
};

function go(changes, replace = false) {
  const next = Object.fromEntries(Object.entries({ ...state, ...changes }).filter(([, value]) => value));
  history[replace ? "replaceState" : "pushState"](null, "", address(next));
  apply();
}

const NOTHING = Object.fromEntries(CONDITIONS.map((name) => [name, ""]));

function fillForm() {
  for (const field of byId("form").elements) {
    if (field.name) field.value = state[field.name] || "";
  }
  byId("seed").hidden = state.sort !== "random";
  for (const button of byId("tile-views").children) button.setAttribute("aria-pressed", String(tileViews().includes(button.dataset.view)));
}

async function apply(start = false) {
  const before = JSON.stringify(filters());
  const { tiles: tilesBefore, rejects: rejectsBefore } = state;
  state = Object.fromEntries([...new URLSearchParams(location.search)].filter(([name]) => PARAMETERS.includes(name)));
  const changed = JSON.stringify(filters()) !== before;
  fillForm();
  const others = CONDITIONS.filter((name) => state[name] && !["class", "id", "match"].includes(name)).length;
  byId("filters").firstElementChild.textContent = others ? `Filters (${others})` : "Filters";
  if (changed || start) await find(start && first.images);
  else if (state.tiles !== tilesBefore) { clearTiles(); draw(); }
  if (!state.rejects) rejects.hide();
  else if (state.rejects !== rejectsBefore) await rejects.open(state.rejects);
  if (state.image) await open(state.image);
  else if (!viewer.hidden) hide();
}

// --- the filters in force ---

const KIND_NAMES = { boxes: "boxes", positive: "labels: present", negative: "labels: absent", machine: "machine labels", masks: "masks" };

function describeCondition(name, value) {
  if (name === "class") return `class ${nameOfClass(value)}`;
  if (name === "kind") return `searched in ${KIND_NAMES[value] || value}`;
  if (name === "id") return `ImageID ${value}…`;
  if (name === "outcome") return { matched: "with matched boxes", missed: "with missed boxes", false: "with false detections" }[value] || value;
  if (name === "min_boxes") return `at least ${count(Number(value), "box")}`;
  if (name === "max_boxes") return `at most ${count(Number(value), "box")}`;
  if (FLAGS.includes(name)) return `${name.replaceAll("_", " ")}: ${value}`;
  return `${name === "source" ? "box source" : name} ${value}`;
}

const nameOfClass = (text) => searched.find((one) => one.text === text)?.found[0]?.name || text;

function without(name, value) {
  if (name !== "class") return { [name]: "" };
  const texts = searched.map((one) => one.text).filter((text) => text !== value);
  return { class: texts.join(","), ...(texts.length ? {} : { kind: "", match: "" }) };
}

function showConditions() {
  const parts = searched.map((one) => {
    const kinds = [...new Set(one.found.map((found) => state.kind || found.kind))];
    const text = one.found.length ? ` ${one.found[0].name}${kinds.length ? `: ${kinds.map((kind) => KIND_NAMES[kind]).join(", ")}` : ""}` : ` no class is called ${one.text}`;
    return removable([one.found.length ? chip(one.found[0].colour) : null, text], "class", one.text);
  });
  for (const name of CONDITIONS) {
    if (state[name] && !["class", "match"].includes(name) && (name !== "kind" || !searched.length)) {
      parts.push(removable([describeCondition(name, state[name])], name, state[name]));
    }
  }
  byId("chips").replaceChildren(...parts);
  byId("in-force").hidden = !parts.length;
  byId("form").elements.match.hidden = searched.length < 2;
}

function removable(content, name, value) {
  const button = el("button", { type: "button", className: "condition", title: "Remove this filter" }, ...content, el("span", { ariaHidden: "true" }, " ✕"));
  button.addEventListener("click", () => go({ ...without(name, value), image: "" }));
  return button;
}

function explain(why) {
  const rows = why.map((one) => {
    const unknown = one.name === "class" && !searched.find((known) => known.text === one.value)?.found.length;
    const text = unknown ? `no class is called ${one.value}` : `${describeCondition(one.name, one.value)}: ${count(one.images, "image")} alone`;
    const button = el("button", { type: "button" }, "Remove");
    button.addEventListener("click", () => go({ ...without(one.name, one.value), image: "" }));
    return el("li", {}, text, " ", button);
  });
  const clear = el("button", { type: "button" }, "Clear all filters");
  clear.addEventListener("click", clearFilters);
  const reason = !why.length ? "There are no records." : why.length === 1 ? "No image meets the filter:" : "No image meets all filters at once:";
  byId("empty").replaceChildren(el("p", {}, reason), el("ul", {}, ...rows), why.length ? clear : "");
  byId("empty").hidden = false;
}

function clearFilters() {
  search.value = "";
  go({ ...NOTHING, image: "" });
}

// --- the grid ---

async function find(known) {
  const mine = (generation += 1);
  pages = new Map();
  clearTiles();
  selected = -1;
  byId("empty").hidden = true;
  try {
    const answer = known || (await ask("api/images", { ...filters(), start: 0, count: PAGE }));
    if (mine !== generation) return;
    total = answer.total;
    version = answer.version;
    searched = answer.classes;
    if (!total) explain(answer.why);
    pages.set(0, answer.images);
    say(count(total, "image"));
  } catch (error) {
    if (mine !== generation) return;
    total = 0;
    searched = [];
    say(error.message, true);
  }
  if (document.activeElement !== search) search.value = state.id || searched.map((one) => nameOfClass(one.text)).join(", ");
  byId("save-found").href = `image_ids.txt${address(filters()).replace(location.pathname, "")}`;
  byId("save-found").hidden = !total;
  showConditions();
  classList.markActive(searched.flatMap((one) => one.found.map((found) => found.mid)));
  layOut(0);
}

const tileViews = () => (state.tiles || "").split(",").filter((view) => view);

function clearTiles() {
  for (const tile of tiles.values()) tile.remove();
  tiles.clear();
}

function imageAt(place) {
  const number = Math.floor(place / PAGE);
  const page = pages.get(number);
  if (Array.isArray(page)) return page[place % PAGE];
  if (page === undefined) {
    const mine = generation;
    const promise = ask("api/images", { ...filters(), start: number * PAGE, count: PAGE }).then((answer) => {
      if (mine !== generation) return;
      pages.set(number, answer.images);
      draw();
    }, (error) => {
      if (mine === generation) { pages.delete(number); say(error.message, true); }
    });
    pages.set(number, promise);
  }
  return null;
}

// A browser limits the height of an element, so many rows are scrolled with a shorter element: a small step moves the
// rows by as much, a jump moves them by its share of the whole, and the scroll bar is corrected when scrolling stops.
const layout = { columns: 1, width: 1, row: 1, whole: 0, height: 0, position: 0, top: 0, timer: 0 };
const tiles = new Map();

const furthest = () => Math.max(0, layout.whole - grid.clientHeight);
const reach = () => Math.max(1, layout.height - grid.clientHeight);

function layOut(position = layout.position) {
  const width = grid.clientWidth;
  layout.columns = Math.max(2, Math.floor(width / 210));
  layout.width = width / layout.columns;
  layout.row = Math.round(layout.width * 0.72) + 26;
  layout.whole = Math.ceil(total / layout.columns) * layout.row;
  layout.height = Math.min(layout.whole, MOST_PIXELS);
  space.style.height = `${layout.height}px`;
  moveTo(position);
}

function moveTo(position) {
  layout.position = clamp(position, 0, furthest());
  putBarRight();
  draw();
}

function putBarRight() {
  const ratio = layout.height < layout.whole ? reach() / Math.max(1, furthest()) : 1;
  grid.scrollTop = layout.position * ratio;
  layout.top = grid.scrollTop;
}

grid.addEventListener("scroll", () => {
  const step = grid.scrollTop - layout.top;
  if (!step) return;
  layout.top = grid.scrollTop;
  if (layout.height === layout.whole) layout.position = grid.scrollTop;
  else {
    layout.position = Math.abs(step) < 2 * grid.clientHeight
      ? clamp(layout.position + step, 0, furthest())
      : (grid.scrollTop / reach()) * furthest();
    clearTimeout(layout.timer);
    layout.timer = setTimeout(() => { putBarRight(); draw(); }, 150);
  }
  draw();
});

function draw() {
  const first = Math.max(0, Math.floor(layout.position / layout.row) - 1) * layout.columns;
  const last = Math.min(total, (Math.ceil((layout.position + grid.clientHeight) / layout.row) + 1) * layout.columns);
  for (const [place, tile] of tiles) {
    if (place < first || place >= last) { tile.remove(); tiles.delete(place); }
  }
  const shift = layout.height < layout.whole ? grid.scrollTop - layout.position : 0;
  for (let place = first; place < last; place += 1) {
    let tile = tiles.get(place);
    if (!tile) {
      tile = el("a", { className: "tile", tabIndex: -1 }, el("img", { alt: "" }), el("span", { className: "mark", role: "checkbox", title: "Mark this image ( x )" }, "✓"), el("span"));
      // The focus stays in the grid, whose keys go on from the selected image.
      tile.addEventListener("mousedown", (event) => { if (event.target.className === "mark") event.preventDefault(); });
      tile.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || !tile.dataset.image) return;
        event.preventDefault();
        if (event.target.className === "mark") { marks.toggle(tile.dataset.image); return; }
        selected = Number(tile.dataset.place);
        go({ image: tile.dataset.image });
      });
      tile.dataset.place = place;
      tiles.set(place, tile);
      space.append(tile);
    }
    const x = (place % layout.columns) * layout.width;
    const y = Math.floor(place / layout.columns) * layout.row + shift;
    tile.style.transform = `translate(${x}px, ${y}px)`;
    tile.style.width = `${layout.width}px`;
    tile.style.height = `${layout.row}px`;
    tile.classList.toggle("selected", place === selected);
    const image = tile.dataset.image ? null : imageAt(place);
    if (image) {
      tile.dataset.image = `${image.split}/${image.id}`;
      tile.href = address({ ...state, image: tile.dataset.image });
      tile.title = image.id;
      tile.firstChild.src = `thumbnail?${new URLSearchParams({ record: image.record, v: version, ...(state.tiles ? { draw: state.tiles } : {}) })}`;
      tile.firstChild.alt = `Image ${image.id}`;
      showMark(tile);
      tile.lastChild.textContent = `${image.matched === undefined ? count(image.boxes, "box") : `${image.matched} matched, ${image.missed} missed, ${image.false} false`} · ${image.id}`;
    }
  }
}

function showMark(tile) {
  const isMarked = marks.isMarked(tile.dataset.image);
  tile.classList.toggle("marked", isMarked);
  tile.children[1].setAttribute("aria-checked", String(isMarked));
}

function showMarks() {
  for (const tile of tiles.values()) if (tile.dataset.image) showMark(tile);
  byId("mark").setAttribute("aria-pressed", String(marks.isMarked(state.image)));
}

function markSelected() {
  const image = selected >= 0 && imageAt(selected);
  if (image) marks.toggle(keyOf(image));
}

function select(place) {
  if (!total) return;
  selected = clamp(place, 0, total - 1);
  const top = Math.floor(selected / layout.columns) * layout.row;
  if (top < layout.position) moveTo(top);
  else if (top + layout.row > layout.position + grid.clientHeight) moveTo(top + layout.row - grid.clientHeight);
  else draw();
}

// --- one image ---

async function open(image) {
  opening += 1;
  await load(image);
  opening -= 1;
  takeSteps();
}

async function load(image) {
  let facts;
  const mine = generation;
  try {
    facts = await ask("api/image", { ...filters(), image });
  } catch (error) {
    if (state.image === image) { say(error.message, true); hide(); }
    return;
  }
  if (state.image !== image || mine !== generation) return;
  if (facts.detections) addDetections(facts);
  opened = facts;
  version = facts.version;
  if (facts.place !== null) selected = facts.place;
  viewer.hidden = false;
  document.title = `${facts.id} · oi-tfrecord browse`;
  picture.src = `image?record=${facts.record}&v=${version}`;
  picture.alt = `Image ${facts.id}`;
  byId("place").textContent = facts.place === null ? "not among the images found" : `${show(facts.place + 1)} of ${show(facts.total)}`;
  byId("previous").disabled = !facts.previous;
  byId("next").disabled = !facts.next;
  showMarks();
  byId("facts").replaceChildren(...describe(facts));
  byId("facts").scrollTop = 0;
  byId("content").scrollTop = 0;
  byId("toggle-masks").hidden = !facts.boxes.some((box) => box.mask);
  drawing.open(facts, (place) => `mask?record=${facts.record}&place=${place}&v=${version}`);
  if (!viewer.contains(document.activeElement)) byId("close").focus();
  for (const other of [facts.next, facts.previous]) if (other) new Image().src = `image?record=${other.record}&v=${version}`;
}

function headBoxes(facts) {
  const detections = facts.boxes.filter((box) => box.score !== undefined).length;
  const boxes = `Boxes (${facts.boxes.length - detections})`;
  return facts.detections ? `${boxes}, detections (${detections})` : boxes;
}

// The boxes that were matched, those that were missed, and the detections come in groups of their own.
function addDetections(facts) {
  const kept = facts.detections.filter((detection) => detection.score >= facts.score);
  const found = new Set(kept.map((detection) => detection.object));
  facts.boxes.forEach((box, place) => {
    if (box.flags.includes("group_of")) return;
    box.outcome = found.has(place) ? "matched" : "missed";
    if (box.outcome === "missed") box.label = `missed: ${box.name}`;
  });
  const words = { matched: "found", false: "false", ignored: "in a group" };
  for (const detection of kept) {
    const label = `${words[detection.outcome]} ${detection.score.toFixed(2)}: ${detection.name}`;
    facts.boxes.push({ ...detection, label, outcome: `detection: ${words[detection.outcome]}`, flags: [], source: "", confidence: detection.score, mask: false, dashes: "2 3" });
  }
}

function hide() {
  viewer.hidden = true;
  opened = null;
  steps = 0;
  drawing.close();
  picture.removeAttribute("src");
  document.title = "oi-tfrecord browse";
  select(selected);
  grid.focus({ preventScroll: true });
}

const keyOf = (item) => `${item.split}/${item.id}`;

// A key may be pressed again before the image is loaded, so steps are counted.
function step(side) {
  steps += side === "next" ? 1 : -1;
  takeSteps();
}

function takeSteps() {
  if (opening || !steps) return;
  const neighbour = opened && opened[steps > 0 ? "next" : "previous"];
  steps = neighbour ? steps - Math.sign(steps) : 0;
  if (neighbour) go({ image: keyOf(neighbour) }, true);
}

const close = () => go({ image: "" });

// An address may be anything, even a program: only http and https become links.
function link(text, url) {
  let parsed = null;
  try { parsed = new URL(url); } catch { /* No link then. */ }
  if (!parsed || !["http:", "https:"].includes(parsed.protocol)) return text || url || "";
  return el("a", { href: parsed.href, target: "_blank", rel: "noopener noreferrer" }, text || url);
}

function classLink(item, kind) {
  const values = { class: item.mid, kind };
  return linkTo(item.name, address(values), () => go({ ...NOTHING, ...values, image: "" }), { title: item.mid });
}

// With a space before the tag, so that copied or spoken text has separate words.
function tag(text) {
  if (!text) return null;
  const parts = document.createDocumentFragment();
  parts.append(" ", el("span", { className: "tag" }, text.replaceAll("_", " ")));
  return parts;
}

function describe(facts) {
  const definition = (rows) => el("dl", {}, ...rows.filter(([, value]) => value).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
  const labels = (kind) => facts.labels.filter((label) => label.kind === kind);
  const listed = (kind) => el("ul", {}, ...labels(kind).map((label) => el("li", {},
    el("span", { className: kind === "machine" ? "muted" : kind }, kind === "positive" ? "✓ " : kind === "negative" ? "✗ " : "≈ "),
    classLink(label, kind), kind === "machine" ? tag(String(Number(label.confidence.toFixed(2)))) : null, tag(label.source))));
  const by = facts.attribution;
  const parts = [
    el("h2", {}, facts.id),
    definition([["split", facts.split], ["size", `${facts.width} × ${facts.height}, ${show(facts.bytes)} bytes`], ["shard", `${facts.shard}, byte ${show(facts.offset)}`], ["SHA-256", facts.sha256]]),
    el("h2", {}, headBoxes(facts)), drawing.listBoxes(facts, classLink, tag),
  ];
  for (const [kind, title] of [["positive", "Positive labels"], ["negative", "Negative labels"], ["machine", "Machine labels"]]) {
    if (labels(kind).length) parts.push(el("h2", {}, `${title} (${labels(kind).length})`), listed(kind));
  }
  parts.push(el("h2", {}, "Licence and author"));
  if (Object.keys(by).length) {
    parts.push(definition([["title", by.title || by.landing_url ? link(by.title, by.landing_url) : ""], ["author", by.author || by.profile_url ? link(by.author, by.profile_url) : ""], ["licence", by.license ? link(by.license, by.license) : ""]]));
  } else parts.push(el("p", { className: "muted" }, "The records name no author or licence; convert with --extra_keys=attribution."));
  parts.push(el("details", {}, el("summary", {}, "Example as text"), el("pre", {}, facts.text)));
  return parts;
}

// --- searching ---

let suggested = [];
let marked = -1;
let asking = 0;

function hideSuggestions() {
  suggestions.hidden = true;
  marked = -1;
  search.setAttribute("aria-expanded", "false");
  search.removeAttribute("aria-activedescendant");
}

async function suggest() {
  const text = search.value.trim();
  const mine = (asking += 1);
  if (!text) { hideSuggestions(); return; }
  const answer = await ask("api/classes", { q: text, start: 0, count: 20 });
  if (mine !== asking || document.activeElement !== search) return;
  suggested = answer.classes.map((one) => ({ label: one.name, note: [one.mid, ...Object.entries(classList.KIND_WORDS).filter(([kind]) => one[kind]).map(([kind, word]) => `${show(one[kind])} ${word}`)].join(" · "), values: { class: one.mid, id: "", kind: "", match: "" } }));
  if (answer.images) suggested.push({ label: `ImageID ${text}…`, note: count(answer.images, "image"), values: { class: "", id: text, kind: "", match: "" } });
  suggestions.replaceChildren(...suggested.map((one, place) => {
    const item = el("li", { role: "option", id: `option-${place}` }, el("span", {}, one.label), el("span", { className: "muted" }, one.note));
    item.addEventListener("mousedown", (event) => { event.preventDefault(); choose(place); });
    return item;
  }));
  suggestions.hidden = !suggested.length;
  search.setAttribute("aria-expanded", String(!suggestions.hidden));
  marked = -1;
}

function mark(place) {
  marked = clamp(place, 0, suggested.length - 1);
  [...suggestions.children].forEach((item, index) => item.setAttribute("aria-selected", String(index === marked)));
  search.setAttribute("aria-activedescendant", `option-${marked}`);
  suggestions.children[marked]?.scrollIntoView({ block: "nearest" });
}

function choose(place) {
  const one = suggested[place];
  asking += 1;
  search.value = one.values.id || one.label;
  hideSuggestions();
  grid.focus();
  go({ ...one.values, image: "" });
}

async function submit() {
  const text = search.value.trim();
  asking += 1;
  hideSuggestions();
  if (!text) { go({ class: "", id: "", kind: "", match: "", image: "" }); return; }
  const answer = await ask("api/classes", { q: text, start: 0, count: 20 });
  const folded = text.toLowerCase();
  // Two classes may have the same name: the search is for both.
  const same = answer.classes.filter((one) => one.name.toLowerCase() === folded || one.mid.toLowerCase() === folded);
  const mids = same.length ? same.map((one) => one.mid) : answer.images ? [] : answer.classes.slice(0, 1).map((one) => one.mid);
  if (!mids.length && !answer.images) { say(`no class or ImageID is called ${text}`, true); return; }
  grid.focus();
  go({ class: mids.join(","), id: mids.length ? "" : text, kind: "", match: "", image: "" });
}

search.addEventListener("input", () => { clearTimeout(search.timer); search.timer = setTimeout(suggest, 100); });
search.addEventListener("blur", hideSuggestions);
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" && !suggestions.hidden) { event.preventDefault(); mark(marked + 1); }
  else if (event.key === "ArrowUp" && !suggestions.hidden) { event.preventDefault(); mark(marked - 1); }
  else if (event.key === "Enter") { event.preventDefault(); clearTimeout(search.timer); if (marked >= 0) choose(marked); else submit(); }
  else if (event.key === "Escape") { event.preventDefault(); if (suggestions.hidden) grid.focus(); else hideSuggestions(); }
});
byId("form").addEventListener("submit", (event) => event.preventDefault());
byId("form").addEventListener("change", (event) => {
  const { name, value } = event.target;
  if (name) go({ [name]: value, ...(name === "sort" ? { seed: "" } : {}), image: "" });
});
byId("clear").addEventListener("click", clearFilters);
byId("tile-views").addEventListener("click", (event) => {
  const { view } = event.target.dataset;
  const views = tileViews();
  if (view) go({ tiles: (views.includes(view) ? views.filter((one) => one !== view) : [...views, view]).join(",") });
});
byId("show-classes").addEventListener("click", () => {
  const shown = document.body.classList.toggle("classes-shown");
  byId("show-classes").setAttribute("aria-expanded", String(shown));
});

byId("previous").addEventListener("click", () => step("previous"));
byId("next").addEventListener("click", () => step("next"));
byId("close").addEventListener("click", close);
byId("open-rejects").addEventListener("click", () => go({ rejects: "all" }));
byId("mark").addEventListener("click", () => marks.toggle(state.image));

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, textarea, input:not([type=checkbox])")) return;
  const { columns } = layout;
  const screen = columns * Math.max(1, Math.floor(grid.clientHeight / layout.row));
  const actions = viewer.hidden && state.rejects ? { Escape: () => go({ rejects: "" }) } : viewer.hidden
    ? {
      "/": () => { search.focus(); search.select(); },
      ArrowLeft: () => select(selected - 1), ArrowRight: () => select(selected + 1),
      ArrowUp: () => select(selected - columns), ArrowDown: () => select(selected < 0 ? 0 : selected + columns),
      PageUp: () => select(selected - screen), PageDown: () => select(Math.max(selected, 0) + screen),
      x: markSelected, Home: () => select(0), End: () => select(total - 1),
      Enter: () => { const image = selected >= 0 && imageAt(selected); if (image) go({ image: keyOf(image) }); },
    }
    : event.shiftKey && Object.hasOwn(drawing.SHIFT_KEYS, event.key)
      ? drawing.SHIFT_KEYS
      : { ...drawing.KEYS, ArrowLeft: () => step("previous"), ArrowRight: () => step("next"), Escape: close, x: () => marks.toggle(state.image), "/": () => { close(); search.focus(); search.select(); } };
  // Enter on a button or link activates that element.
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  const action = Object.hasOwn(actions, event.key) && actions[event.key];
  if (action) { event.preventDefault(); action(); }
});

window.addEventListener("popstate", () => apply());
new ResizeObserver(() => {
  // The first visible image stays visible.
  const place = Math.round((layout.position / layout.row) * layout.columns);
  layOut();
  moveTo(Math.floor(place / layout.columns) * layout.row);
}).observe(grid);

async function start() {
  marks.start(showMarks);
  rejects.start({
    open: (image) => go({ image }),
    address: (image) => address({ ...state, image }),
    close: () => go({ rejects: "" }),
    choose: (reason) => go({ rejects: reason }, true),
  });
  const [dataset] = await Promise.all([first.dataset || ask("api/dataset", {}), apply(true)]);
  for (const split of dataset.splits) byId("form").elements.split.append(el("option", { value: split.name }, `${split.name} (${show(split.records)})`));
  for (const source of dataset.sources) byId("form").elements.source.append(el("option", { value: source }, source));
  for (const flag of dataset.flags) {
    byId("flags").append(el("label", {}, `${flag.replaceAll("_", " ")} `, el("select", { name: flag }, el("option", { value: "" }, "any"), el("option", { value: "yes" }, "yes"), el("option", { value: "no" }, "no"))));
  }
  byId("outcomes").hidden = !dataset.detections;
  byId("form").elements.sort.lastElementChild.hidden = !dataset.detections;
  byId("tile-views").lastElementChild.hidden = !dataset.masks;
  classList.start(dataset.classes, {
    address: (mids, kind) => address({ class: mids.join(","), kind, tiles: state.tiles, sort: state.sort, seed: state.seed }),
    search: (mids, kind) => {
      document.body.classList.remove("classes-shown");
      byId("show-classes").setAttribute("aria-expanded", "false");
      // The checkbox of a class adds the class to what is searched, so the other filters stay.
      go({ class: mids.join(","), kind, id: "", ...(mids.length < 2 ? { match: "" } : {}), image: "" });
    },
  });
  fillForm();
}
start().catch((error) => say(error.message, true));
