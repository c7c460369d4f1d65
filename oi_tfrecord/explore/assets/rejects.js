// The rejects of the conversion: their reason, row, and the picture where the image has a record.

import { ask, byId, count, el, linkTo, show } from "./dom.js";

const PAGE = 100; // rejects per request
let handlers = null; // `open(image)`, `address(image)`, `close()`, `choose(reason)`
let shown = 0;
let reason = "";

export function start(given) { handlers = given; }

export async function open(wanted) {
  reason = wanted === "all" ? "" : wanted;
  byId("rejects").hidden = false;
  byId("reject-rows").replaceChildren();
  shown = 0;
  byId("close-rejects").focus();
  await more();
}

export function hide() { byId("rejects").hidden = true; }

async function more() {
  const wanted = reason;
  const answer = await ask("api/rejects", { reason, start: shown, count: PAGE });
  if (wanted !== reason) return;
  shown += answer.rejects.length;
  byId("reject-count").textContent = count(answer.total, "reject");
  byId("more-rejects").hidden = shown >= answer.total;
  const options = answer.reasons.map((one) => el("option", { value: one.reason }, `${one.reason} (${show(one.count)})`));
  byId("reject-reason").replaceChildren(el("option", { value: "" }, "all"), ...options);
  byId("reject-reason").value = reason;
  byId("reject-meaning").textContent = answer.total ? answer.reasons.find((one) => one.reason === reason)?.meaning || "" : "The conversion rejected nothing.";
  byId("reject-rows").append(...answer.rejects.map((row) => describe(row, answer.version)));
}

function describe(row, version) {
  const key = `${row.split}/${row.imageid}`;
  const go = [handlers.address(key), () => handlers.open(key)];
  const picture = row.record === null ? "" : linkTo(el("img", { src: `thumbnail?record=${row.record}&v=${version}`, alt: `Image ${row.imageid}`, loading: "lazy" }), ...go);
  const place = row.line ? `${row.file}, line ${show(Number(row.line))}` : row.file;
  return el("tr", {}, ...[picture, row.reason, row.detail, row.record === null ? row.imageid : linkTo(row.imageid, ...go), `${row.table} (${row.split})`, place].map((value) => el("td", {}, value)));
}

byId("more-rejects").addEventListener("click", more);
byId("close-rejects").addEventListener("click", () => handlers.close());
byId("reject-reason").addEventListener("change", (event) => handlers.choose(event.target.value || "all"));
