"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const integer = new Intl.NumberFormat("en-US");
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  const show = (value) => (value === null || value === undefined ? "–" : integer.format(value));
  const percent = (part, whole) => {
    if (!whole) return "–";
    const share = (100 * part) / whole;
    // A share just above 0 is not shown as 0 %, and one just below 1 not as 100 %.
    if (share && share < 0.1) return `${Number(share.toPrecision(1))} %`;
    return `${part < whole && share > 99.9 ? share.toFixed(3) : share.toFixed(1)} %`;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  let charts = [];

  function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key.startsWith("aria")) element.setAttribute(`aria-${key.slice(4).toLowerCase()}`, value);
      else if (key === "role") element.setAttribute(key, value);
      else element[key] = value;
    }
    element.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (child instanceof Node ? child : String(child))));
    return element;
  }

  function section(title, note, wide, csv) {
    const button = csv && el("button", { className: "csv", type: "button", onclick: () => download(csv), ariaLabel: `CSV of ${title}` }, "CSV");
    const part = el("section", { className: wide ? "wide" : "" }, el("div", { className: "head" }, el("h2", {}, title), button));
    if (note) part.append(el("p", { className: "muted" }, note));
    byId("content").append(part);
    return part;
  }

  function download({ name, columns, rows }) {
    const field = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const text = [columns, ...rows()].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    el("a", { href: url, download: `${name}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  function table(columns, rows, numbers) {
    const cell = (tag, value, index) => el(tag, { className: numbers.includes(index) ? "number" : "" }, value);
    return el("div", { className: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, ...columns.map((name, index) => cell("th", name, index)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((value, index) => cell("td", value, index)))))));
  }

  function meter(part, whole, label) {
    return el("meter", { max: whole || 1, value: part, ariaLabel: label });
  }

  // A chart over the integers from 0. `series` is a list of {values, colour, points}; a log axis shows no zeros.
  function chart(host, { count, series, tick, describe, log, height = 260, label, margin = 0.5 }) {
    const box = el("div", { className: "chart", role: "img", ariaLabel: label });
    const readout = el("div", { className: "readout muted", ariaLive: "polite" }, count ? "\u00a0" : "no values");
    host.append(box, readout);
    if (!count) return;
    const decades = (plot, splits) => splits.map((y) => (log && !Number.isInteger(Math.log10(y)) ? null : y));
    const drawn = (values) => values.map((value) => (log && value <= 0 ? null : value));
    const axis = { stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line") } };
    const options = {
      width: Math.max(box.clientWidth, 200), height, legend: { show: false },
      cursor: { points: { show: false }, y: false, drag: { x: true, y: false } },
      scales: {
        x: { time: false, range: (plot, low, high) => [Math.max(low, 0) - margin, Math.min(high, count - 1) + margin] },
        y: log
          ? { distr: 3, range: (plot, low, high) => [0.6, Math.max(high || 1, 10) * 1.6] }
          : { range: (plot, low, high) => [0, (high || 1) * 1.05] },
      },
      axes: [
        { ...axis, space: 60, size: 32, values: (plot, splits) => splits.map((x) => (Number.isInteger(x) && x >= 0 && x < count ? tick(x) : "")) },
        {
          ...axis, size: 56, filter: decades, grid: { ...axis.grid, filter: decades }, ticks: { ...axis.ticks, filter: decades },
          values: (plot, splits) => splits.map((y) => (y === null ? "" : short.format(y))),
        },
      ],
      series: [{}, ...series.map((one) => ({
        stroke: () => colour(one.colour), fill: one.points ? undefined : () => colour(one.colour), width: one.points ? 0 : 1,
        paths: one.points ? () => null : uPlot.paths.bars({ size: [count > 200 ? 1 : 0.9, Infinity], gap: 0 }),
        fillTo: () => (log ? 0.6 : 0),
        points: one.points ? { show: true, size: count > 2000 ? 3 : count > 100 ? 6 : 11, width: count > 100 ? 0 : 2, stroke: () => colour("panel"), fill: () => colour(one.colour) } : { show: false },
      }))],
      hooks: { setCursor: [(plot) => { const index = plot.cursor.idx; readout.textContent = index === null || index === undefined ? "\u00a0" : describe(index); }] },
    };
    const plot = new uPlot(options, [[...Array(count).keys()], ...series.map((one) => drawn(one.values))], box);
    const observer = new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height });
    });
    observer.observe(box);
    charts.push({ plot, observer });
  }

  function histogram(split, { key, title, note, tick, range, counted, log = false, wide = false }) {
    const bins = split[key];
    const csv = { name: `${split.split}-${key}`, columns: ["from", "to", counted], rows: () => bins.count.map((value, index) => [bins.from[index], bins.to[index], value]) };
    const part = section(title, note, wide, csv);
    chart(part, {
      count: bins.count.length, series: [{ values: bins.count, colour: "accent" }], tick: (x) => tick(bins.from[x]), log,
      describe: (x) => `${range(bins.from[x], bins.to[x])}: ${show(bins.count[x])} ${counted}`, label: title,
    });
    return part;
  }

  function legend(...entries) {
    return el("p", { className: "legend" }, ...entries.map(([kind, text]) => el("span", {}, el("span", { className: `chip ${kind}` }), text)));
  }

  function totals(split) {
    const megabytes = (bytes) => (bytes === null ? "–" : `${integer.format(Math.round(bytes / 1e5) / 10)} MB`);
    const all = split.totals;
    const tiles = [
      ["images (records)", show(all.records)], ["boxes", show(all.boxes)],
      ["boxes per image", all.records ? (all.boxes / all.records).toFixed(2) : "–"],
      ["most boxes in an image", show(all.most_boxes_in_an_image)], ["images without boxes", show(all.images_without_boxes)],
      ["images with over 100 boxes", show(all.images_over_100_boxes)], ["positive labels", show(all.positive_labels)],
      ["negative labels", show(all.negative_labels)], ["machine labels", show(all.machine_labels)], ["masks", show(all.masks)],
      ["classes with boxes", show(split.classes.boxes.filter((count) => count > 0).length)],
      ["classes of the label map", show(split.classes.id.filter((id) => id !== null).length)],
      ["shards", show(all.shards)], ["shard bytes", megabytes(all.bytes)], ["image bytes", megabytes(all.image_bytes)],
      ["images re-encoded", show(all.images_reencoded)], ["boxes without area", show(all.degenerate_boxes)],
    ];
    const csv = { name: `${split.split}-totals`, columns: ["total", "count"], rows: () => Object.entries(all) };
    const part = section(`Totals of ${split.split}${split.release ? `, Open Images ${split.release.toUpperCase()}` : ""}`, null, true, csv);
    if (split.balanced !== null) {
      part.append(el("p", { className: split.balanced ? "good" : "bad" }, split.balanced
        ? "Balanced: every row that was read was written, rejected or left out for a reason."
        : "Not balanced: rows or images were lost without a reason."));
    } else part.append(el("p", { className: "muted" }, "There is no manifest: the page has the counts of the records only."));
    part.append(el("dl", { className: "tiles" }, ...tiles.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
    for (const warning of split.warnings) part.append(el("p", { className: "bad" }, `Warning: ${warning}`));
  }

  function published(split) {
    const csv = { name: `${split.split}-published`, columns: ["what", "published", "read", "records"], rows: () => split.published.map((row) => [row.what, row.published, row.read, row.records]) };
    const known = split.published.some((row) => row.published !== null);
    const note = known ? "Published: numbers of the release's own table." : "Published numbers are not known: no manifest names the release, or the release has no such split.";
    const part = section("Compared with what was published", `${note} Read: rows of the input files. Records: rows in the records, without rows of classes outside the label map.`, true, csv);
    part.append(table(["", "published", "rows read", "in the records", "of published", ""], split.published.map((row) => [
      row.what, show(row.published), show(row.read), show(row.records),
      row.published === null || row.records === null ? "–" : percent(row.records, row.published),
      row.published === null || row.records === null ? "" : meter(Math.min(row.records, row.published), row.published, `${row.what} in the records`),
    ]), [1, 2, 3, 4]));
  }

  function classCharts(split) {
    const all = split.classes;
    const count = all.mid.length;
    const csv = (name) => ({ name: `${split.split}-${name}`, columns: ["rank", ...CLASS_COLUMNS], rows: () => all.mid.map((_, index) => [index + 1, ...CLASS_COLUMNS.map((column) => all[column][index])]) });
    const without = (column) => show(all[column].filter((value) => !value).length);
    const order = "Classes by number of positive labels, then negative ones; log scale. Drag to zoom, double-click to zoom out.";
    const tick = (x) => integer.format(x + 1);
    const named = (x) => `${x + 1}. ${all.name[x]} (${all.mid[x]})`;
    const labels = section("Image-level labels per class", `${order} Without a positive label: ${without("positive")} classes, without a negative one: ${without("negative")}.`, true, csv("labels-per-class"));
    labels.append(legend(["positive", "positive"], ["negative round", "negative"]));
    chart(labels, {
      count, log: true, height: 300, tick, label: "Positive and negative labels per class",
      series: [{ values: all.positive, colour: "positive" }, { values: all.negative, colour: "negative", points: true }],
      describe: (x) => `${named(x)}: ${show(all.positive[x])} positive, ${show(all.negative[x])} negative`,
    });
    const boxes = section("Images and boxes per class", `${order} Without a box: ${without("boxes")} classes.`, true, csv("boxes-per-class"));
    boxes.append(legend(["accent", "boxes"], ["plain round", "images with a box"]));
    chart(boxes, {
      count, log: true, height: 300, tick, label: "Images and boxes per class",
      series: [{ values: all.boxes, colour: "accent" }, { values: all.images, colour: "text", points: true }],
      describe: (x) => `${named(x)}: ${show(all.boxes[x])} boxes in ${show(all.images[x])} images`,
    });
  }

  const CLASS_COLUMNS = ["name", "mid", "id", "images", "boxes", "positive", "negative", "machine", "masks"];
  const ROW = 29;

  // Only the visible rows are in the document, so that a table of 20,000 classes stays quick.
  function classTable(split) {
    const all = split.classes;
    const searched = all.mid.map((mid, index) => `${all.name[index]}\n${mid}`.toLowerCase());
    let order = all.mid.map((_, index) => index);
    let sorted = { column: null, down: false };
    const part = section("Classes", null, true, { name: `${split.split}-classes`, columns: CLASS_COLUMNS, rows: () => order.map((index) => CLASS_COLUMNS.map((column) => all[column][index])) });
    const found = el("span", { className: "muted", ariaLive: "polite" });
    const search = el("input", { type: "search", id: "class-search", placeholder: "Name or MID", ariaLabel: "Search classes by name or MID" });
    const body = el("tbody");
    const heads = CLASS_COLUMNS.map((column, index) => el("th", { className: index > 1 ? "number" : "", scope: "col", ariaSort: "none" },
      el("button", { type: "button", onclick: () => { sorted = { column, down: sorted.column === column ? !sorted.down : index > 2 }; update(); } }, column)));
    const scroller = el("div", { className: "window", tabIndex: 0, role: "region", ariaLabel: "Class table" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body));
    const space = (rows) => { const cell = el("td", { colSpan: CLASS_COLUMNS.length }); cell.style.height = `${rows * ROW}px`; return el("tr", { className: "space" }, cell); };
    function draw() {
      const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 10);
      const last = Math.min(order.length, first + Math.ceil(scroller.clientHeight / ROW) + 20);
      body.replaceChildren(space(first), ...order.slice(first, last).map((index) => el("tr", {}, ...CLASS_COLUMNS.map((column, place) => {
        const value = all[column][index];
        return el("td", { className: place > 1 ? "number" : place ? "" : "name", title: place ? "" : value }, place > 1 ? show(value) : value);
      }))), space(order.length - last));
    }
    function update() {
      const wanted = search.value.trim().toLowerCase();
      order = all.mid.map((_, index) => index).filter((index) => searched[index].includes(wanted));
      if (sorted.column) {
        const values = all[sorted.column];
        const sign = sorted.down ? -1 : 1;
        const compare = typeof values[0] === "string" ? (a, b) => values[a].localeCompare(values[b]) : (a, b) => (values[a] ?? Infinity) - (values[b] ?? Infinity);
        order.sort((a, b) => sign * compare(a, b) || a - b);
      }
      heads.forEach((head, index) => head.setAttribute("aria-sort", sorted.column !== CLASS_COLUMNS[index] ? "none" : sorted.down ? "descending" : "ascending"));
      found.textContent = `${show(order.length)} of ${show(all.mid.length)} classes`;
      scroller.scrollTop = 0;
      draw();
    }
    search.addEventListener("input", update);
    scroller.addEventListener("scroll", () => requestAnimationFrame(draw));
    part.append(el("div", { className: "tools" }, search, found), scroller);
    update();
  }

  function shares(split, title, note, rows, columns, wide = false) {
    const csv = { name: `${split.split}-${title.toLowerCase().replaceAll(" ", "-")}`, columns, rows: () => rows.map((row) => [...row.texts, row.count, row.of]) };
    const part = section(title, note, wide, csv);
    if (!rows.length) { part.append(el("p", { className: "muted" }, "The records have no such key.")); return; }
    part.append(table([...columns.slice(0, -1), "share", ""], rows.map((row) => [...row.texts, show(row.count), percent(row.count, row.of), meter(row.count, row.of, row.texts.join(" "))]), [columns.length - 2, columns.length - 1]));
  }

  function sourcesAndFlags(split) {
    const whole = {};
    for (const row of split.sources) whole[row.table] = (whole[row.table] || 0) + row.count;
    const fromManifest = split.sources.some((row) => row.counted_in === "manifest");
    shares(split, "Sources", fromManifest ? "Where the records have no source, the manifest's counts of written rows." : "Counted in the records.",
      split.sources.map((row) => ({ texts: [row.table.replace("_", " "), row.source], count: row.count, of: whole[row.table] })), ["of", "source", "count", "all"]);
    const unknown = split.totals.unknown_flags_written_as_0;
    shares(split, "Flags of boxes", unknown ? `${show(unknown)} flags were unknown (-1) and are written as 0.` : null,
      split.flags.map((row) => ({ texts: [row.flag.replace("_", " ")], count: row.boxes, of: row.of })), ["flag", "boxes", "all boxes"]);
    shares(split, "Box sizes by COCO's limits", "Small: below 32² pixels of the image as stored; large: from 96².",
      Object.entries(split.box_areas).map(([size, count]) => ({ texts: [size], count, of: Object.values(split.box_areas).reduce((a, b) => a + b, 0) })), ["size", "boxes", "all boxes"]);
    shares(split, "Frequent image sizes", `${show(split.distinct_image_sizes)} distinct sizes.`,
      split.image_sizes.map((row) => ({ texts: [`${row.width} × ${row.height}`], count: row.images, of: split.totals.records })), ["pixels", "images", "all images"]);
    if (split.licenses.length) {
      shares(split, "Licences", null, split.licenses.map((row) => ({ texts: [row.license], count: row.images, of: split.totals.records })), ["licence", "images", "all images"]);
    }
    shares(split, "Keys of the records", null, split.keys.map((row) => ({ texts: [row.key], count: row.records, of: split.totals.records })), ["key", "records", "all records"], true);
  }

  function rejects(split) {
    if (split.rejects === null) {
      section("Rejects by reason", `There is no rejects-${split.split}.csv.`, true);
      return;
    }
    const csv = { name: `${split.split}-rejects`, columns: ["table", "reason", "count"], rows: () => split.rejects.map((group) => [group.table, group.reason, group.count]) };
    const part = section("Rejects by reason", `From rejects-${split.split}.csv, which lists every reject.`, true, csv);
    if (!split.rejects.length) part.append(el("p", { className: "good" }, "Nothing was rejected."));
    for (const group of split.rejects) {
      part.append(el("details", {}, el("summary", {}, `${group.table}: ${group.reason.replaceAll("_", " ")}, ${show(group.count)}`),
        table(["ImageID", "where", "detail"], group.examples.map((row) => [row.ImageID, `${row.File}${row.Line ? `, line ${row.Line}` : ""}`, row.Detail]), [])));
    }
  }

  function leftOut(split) {
    if (split.left_out.length) {
      const left = section("Left out by configuration", "Rows that the choice of classes, images or boxes left out.", true, { name: `${split.split}-left-out`, columns: ["table", "reason", "count"], rows: () => split.left_out.map((row) => [row.table, row.reason, row.count]) });
      left.append(table(["table", "reason", "rows"], split.left_out.map((row) => [row.table.replace("_", " "), row.reason.replaceAll("_", " "), show(row.count)]), [2]));
    }
  }

  const ratio = (log2) => (log2 >= 0 ? `${Number((2 ** log2).toFixed(2))}:1` : `1:${Number((2 ** -log2).toFixed(2))}`);
  const bytes = (count) => (count < 1e6 ? `${Math.round(count / 1e2) / 10} KB` : `${(count / 1e6).toFixed(1)} MB`);

  function render(split) {
    for (const { plot, observer } of charts) { observer.disconnect(); plot.destroy(); }
    charts = [];
    byId("content").replaceChildren();
    for (const button of byId("splits").children) button.setAttribute("aria-pressed", String(button.textContent === split.split));
    totals(split);
    published(split);
    classCharts(split);
    classTable(split);
    histogram(split, { key: "boxes_per_image", title: "Boxes per image", note: "Log scale.", log: true, wide: true, counted: "images", tick: show, range: (low) => `${low} boxes` });
    histogram(split, { key: "box_sides", title: "Box size", note: "Square root of the share of the image's area.", counted: "boxes", tick: (low) => low.toFixed(2), range: (low, high) => `${low.toFixed(2)} to ${high.toFixed(2)}` });
    histogram(split, { key: "box_aspects", title: "Box aspect", note: "Width : height in pixels; the first and last bar have all boxes beyond 32.", counted: "boxes", tick: ratio, range: (low, high) => `${ratio(low)} to ${ratio(high)}` });
    histogram(split, { key: "long_sides", title: "Longer side of the images", note: "Pixels.", counted: "images", tick: show, range: (low, high) => `${show(low)} to ${show(high - 1)} pixels` });
    histogram(split, { key: "encoded_sizes", title: "Size of the JPEGs", note: "Bytes, four bins per doubling.", counted: "images", tick: bytes, range: (low, high) => `${bytes(low)} to ${bytes(high)}` });
    sourcesAndFlags(split);
    rejects(split);
    leftOut(split);
  }

  const wanted = () => data.splits.find((split) => split.split === decodeURIComponent(location.hash.slice(1))) || data.splits[0];
  byId("title").textContent = data.title;
  for (const split of data.splits) byId("splits").append(el("button", { type: "button", onclick: () => { location.hash = encodeURIComponent(split.split); } }, split.split), " ");
  window.addEventListener("hashchange", () => render(wanted()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(({ plot }) => plot.redraw(false)));
  render(wanted());
})();
