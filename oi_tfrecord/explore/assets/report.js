"use strict";
// The sections of the report in their order.
(() => {
  const { data, byId, show, percent, sum, el, section, table, meter, choice, SCALES, columns, heatMap, endCharts } = page;
  const { barChart, classTable, together, examples, sideBySide } = classSections;
  const integer = new Intl.NumberFormat("en-US");

  function histogram(split, { key, title, note, tick, range, counted, xTitle, scale = "linear" }) {
    const bins = split[key];
    if (!bins.count.some((count) => count)) return;
    const csv = { name: `${split.split}-${key}`, columns: ["from", "to", counted], rows: () => bins.count.map((value, index) => [bins.from[index], bins.to[index], value]) };
    const part = section(title, note, false, csv);
    const place = el("div");
    const draw = (scale) => {
      place.replaceChildren();
      endCharts(false);
      columns(place, {
        values: bins.count, tick: (x) => tick(bins.from[x]), log: scale === "log", label: title, xTitle, yTitle: counted,
        describe: (x) => `${range(bins.from[x], bins.to[x])}: ${show(bins.count[x])} ${counted}`,
      });
    };
    part.append(el("div", { className: "tools" }, choice("Scale", SCALES, scale, draw)), place);
    draw(scale);
  }

  function boxMaps(split) {
    const places = split.box_places;
    if (!places.flat().some((count) => count)) return;
    const rows = places.map((counts, y) => counts.map((count, x) => [y, x, count])).flat();
    const where = section("Where the boxes lie", "Boxes over each part of the image.", false, { name: `${split.split}-box-places`, columns: ["row", "column", "boxes"], rows: () => rows });
    const part = (index, cells) => `${Math.round((100 * index) / cells)} to ${Math.round((100 * (index + 1)) / cells)} %`;
    heatMap(where, {
      counts: places, label: "Boxes over each part of the image", ratio: "4 / 3", xTitle: "from the left, % of the width", yTitle: "from the top, % of the height",
      xTicks: ["0", "50", "100"], yTicks: ["0", "50", "100"],
      describe: (y, x) => `${part(x, places[0].length)} of the width, ${part(y, places.length)} of the height: ${show(places[y][x])} boxes`,
    });
    const { side, aspect, count } = split.box_shapes;
    const shapes = section("Size against aspect", "Boxes of each size and aspect.", false, { name: `${split.split}-box-shapes`, columns: ["size from", "log2 aspect from", "boxes"], rows: () => side.flatMap((low, x) => aspect.map((log2, y) => [low, log2, count[x][y]])) });
    // Wide boxes are at the top.
    const turned = aspect.map((_, y) => side.map((_, x) => count[x][aspect.length - 1 - y]));
    heatMap(shapes, {
      counts: turned, label: "Boxes by size and aspect", ratio: "4 / 3", xTitle: "size: square root of the share of the image's area", yTitle: "width : height",
      xTicks: ["0", "0.5", "1"], yTicks: ["32:1", "1:1", "1:32"],
      describe: (y, x) => { const row = aspect.length - 1 - y; return `size from ${side[x].toFixed(2)}, aspect from ${ratio(aspect[row])}: ${show(count[x][row])} boxes`; },
    });
  }

  // What a person must know before the numbers.
  function attention(split) {
    const rejected = split.rejects === null ? 0 : sum(split.rejects.map((group) => group.count));
    const problems = [...split.warnings.map((warning) => `Warning: ${warning}`)];
    if (!split.totals.records) problems.unshift("The split has no record.");
    if (split.balanced === false) problems.unshift("Not balanced: rows or images were lost without a reason.");
    if (split.totals.degenerate_boxes) problems.push(`${show(split.totals.degenerate_boxes)} boxes have no area.`);
    if (problems.length) section("Warnings", null, true).append(...problems.map((text) => el("p", { className: "bad" }, text)));
    if (rejected) rejects(split);
    return rejected > 0;
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
      ["rejects", split.rejects === null ? "–" : show(sum(split.rejects.map((group) => group.count)))], ["images re-encoded", show(all.images_reencoded)], ["boxes without area", show(all.degenerate_boxes)],
    ];
    const csv = { name: `${split.split}-totals`, columns: ["total", "count"], rows: () => Object.entries(all) };
    const part = section(`Totals of ${split.split}${split.release ? `, Open Images ${split.release.toUpperCase()}` : ""}`, null, true, csv);
    if (split.balanced && all.records) {
      part.append(el("p", { className: "good" }, "Balanced: every row that was read was written, rejected or left out for a reason."));
    } else if (split.balanced === null) part.append(el("p", { className: "muted" }, "There is no manifest: the page has the counts of the records only."));
    part.append(el("dl", { className: "tiles" }, ...tiles.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
  }

  function published(split) {
    if (!split.totals.records || split.published.every((row) => row.published === null && row.read === null)) return;
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

  function shares(split, title, note, rows, columns, wide = false) {
    if (!rows.some((row) => row.of)) return;
    const csv = { name: `${split.split}-${title.toLowerCase().replaceAll(" ", "-")}`, columns, rows: () => rows.map((row) => [...row.texts, row.count, row.of]) };
    const part = section(title, note, wide, csv);
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
    shares(split, "Licences", null, split.licenses.map((row) => ({ texts: [row.license], count: row.images, of: split.totals.records })), ["licence", "images", "all images"]);
    shares(split, "Keys of the records", null, split.keys.map((row) => ({ texts: [row.key], count: row.records, of: split.totals.records })), ["key", "records", "all records"], true);
  }

  function rejects(split) {
    if (split.rejects === null) {
      section("Rejects by reason", `There is no rejects-${split.split}.csv.`, true);
      return;
    }
    const csv = { name: `${split.split}-rejects`, columns: ["table", "reason", "count"], rows: () => split.rejects.map((group) => [group.table, group.reason, group.count]) };
    const part = section("Rejects by reason", `From rejects-${split.split}.csv, which lists every reject.`, true, csv);
    const count = sum(split.rejects.map((group) => group.count));
    part.append(el("p", { className: count ? "bad" : "good" }, count ? `${show(count)} rows, images or masks were rejected.` : "Nothing was rejected."));
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
    endCharts(true);
    byId("content").replaceChildren();
    for (const button of byId("splits").children) button.setAttribute("aria-pressed", String(button.textContent === split.split));
    const rejectsAreFirst = attention(split);
    totals(split);
    sideBySide(data.splits);
    published(split);
    barChart(split);
    examples(split);
    together(split);
    classTable(split);
    boxMaps(split);
    histogram(split, { key: "boxes_per_image", title: "Boxes per image", counted: "images", xTitle: "boxes in an image", tick: show, range: (low) => `${show(low)} boxes` });
    histogram(split, { key: "box_sides", title: "Box size", note: "Square root of the share of the image's area.", counted: "boxes", xTitle: "size", tick: (low) => low.toFixed(2), range: (low, high) => `${low.toFixed(2)} to ${high.toFixed(2)}` });
    histogram(split, { key: "box_aspects", title: "Box aspect", note: "The first and last bar have all boxes beyond 32.", counted: "boxes", xTitle: "width : height, of pixels", tick: ratio, range: (low, high) => `${ratio(low)} to ${ratio(high)}` });
    histogram(split, { key: "long_sides", title: "Longer side of the images", counted: "images", xTitle: "pixels", tick: show, range: (low, high) => `${show(low)} to ${show(high - 1)} pixels` });
    histogram(split, { key: "encoded_sizes", title: "Size of the JPEGs", note: "Four bins per doubling.", counted: "images", xTitle: "bytes", tick: bytes, range: (low, high) => `${bytes(low)} to ${bytes(high)}` });
    sourcesAndFlags(split);
    if (!rejectsAreFirst) rejects(split);
    leftOut(split);
  }

  const wanted = () => data.splits.find((split) => split.split === decodeURIComponent(location.hash.slice(1))) || data.splits[0];
  byId("title").textContent = data.title;
  for (const split of data.splits) byId("splits").append(el("button", { type: "button", onclick: () => { location.hash = encodeURIComponent(split.split); } }, split.split), " ");
  window.addEventListener("hashchange", () => render(wanted()));
  render(wanted());
})();
