// The images that a person marked, and their list as a file.

import { byId, count } from "./dom.js";

// The path has the token of the server, so each start of the server begins without marks.
const KEY = `marks of ${location.pathname}`;
const marked = new Set(JSON.parse(sessionStorage.getItem(KEY) || "[]")); // SPLIT/IMAGEID
let changed = () => {};

export const isMarked = (image) => marked.has(image);

export function start(onChange) {
  changed = onChange;
  update();
}

export function toggle(image) {
  if (!marked.delete(image)) marked.add(image);
  update();
}

function update() {
  sessionStorage.setItem(KEY, JSON.stringify([...marked]));
  byId("save-marks").textContent = `Save ${count(marked.size, "marked image")}`;
  for (const id of ["save-marks", "clear-marks"]) byId(id).hidden = !marked.size;
  changed();
}

byId("save-marks").addEventListener("click", () => {
  const lines = [...marked].map((image) => `${image.slice(image.indexOf("/") + 1)}\n`);
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
  anchor.download = "image_ids.txt";
  anchor.click();
  URL.revokeObjectURL(anchor.href);
});
byId("clear-marks").addEventListener("click", () => { marked.clear(); update(); });
