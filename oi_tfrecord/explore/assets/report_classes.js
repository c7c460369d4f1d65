"use strict";
// The sections of the report about classes.
const classSections = (() => {
  const { data, show, percent, sum, greatest, el, section, table, choice, SCALES, bars, heatMap, classLink } = page;
  const COLUMNS = ["name", "mid", "id", "images", "boxes", "positive", "negative", "machine", "masks"];
  const COUNTS = {
    boxes: "boxes", images: "images with a box", masks: "masks", positive: "positive labels", negative: "negative labels", machine: "machine labels",
  };
  const KINDS = { positive: "positive", negative: "negative", machine: "machine" };
  const ROW = 29;
  const MOST_BARS = 30;
  const spread = (values) => Math.max(...values) - Math.min(...values);

  const found = (all, wanted) => {
    const text = wanted.trim().toLowerCase();
    return all.mid.map((_, index) => index).filter((index) => `${all.name[index]}\n${all.mid[index]}`.toLowerCase().includes(text));
  };

  function searchField(id, update) {
    const field = el("input", { type: "search", id, placeholder: "Name or MID", ariaLabel: "Search classes by name or MID" });
    field.addEventListener("input", update);
    return field;
  }

  function barChart(split) {
    const all = split.classes;
    const measures = Object.keys(COUNTS).filter((column) => all[column].some((count) => count));
    if (!measures.length) return;
    let measure = measures[0];
    let scale = "linear";
    const csv = { name: `${split.split}-per-class`, columns: ["rank", ...COLUMNS], rows: () => all.mid.map((_, index) => [index + 1, ...COLUMNS.map((column) => all[column][index])]) };
    const part = section("Classes by count", null, true, csv);
    const note = el("p", { className: "muted", ariaLive: "polite" });
    const place = el("div");
    function draw() {
      const values = all[measure];
      const matching = found(all, search.value);
      const ranked = matching.sort((a, b) => values[b] - values[a] || a - b);
      const drawn = ranked.slice(0, MOST_BARS);
      const without = values.filter((count) => !count).length;
      const shown = drawn.length < matching.length ? `The ${show(drawn.length)} most frequent of ${show(matching.length)} classes` : `${show(drawn.length)} classes`;
      const none = without ? ` ${show(without)} of all ${show(all.mid.length)} classes have none.` : "";
      note.textContent = `${shown}${search.value.trim() ? " whose name or MID has the text" : ""}.${none}`;
      place.replaceChildren(drawn.length ? bars(drawn.map((index) => ({
        label: classLink(split, all.mid[index], KINDS[measure] || "boxes", all.name[index]), value: values[index], title: `${all.name[index]} (${all.mid[index]}): ${show(values[index])} ${COUNTS[measure]}`,
      })), { axis: COUNTS[measure], log: scale === "log", most: greatest(values) }) : "");
    }
    const search = searchField("bar-search", draw);
    const counted = el("select", { ariaLabel: "What is counted", onchange: () => { measure = counted.value; draw(); } }, ...measures.map((column) => el("option", { value: column }, COUNTS[column])));
    part.append(el("div", { className: "tools" }, counted, choice("Scale", SCALES, scale, (value) => { scale = value; draw(); }), search), note, place);
    draw();
  }

  // Only the visible rows are in the document, so that a table of 20,000 classes stays quick.
  function classTable(split) {
    const all = split.classes;
    let order = all.mid.map((_, index) => index);
    let sorted = { column: null, down: false };
    const part = section("All classes", null, true, { name: `${split.split}-classes`, columns: COLUMNS, rows: () => order.map((index) => COLUMNS.map((column) => all[column][index])) });
    const number = el("span", { className: "muted", ariaLive: "polite" });
    const search = searchField("class-search", update);
    const body = el("tbody");
    const heads = COLUMNS.map((column, index) => el("th", { className: index > 1 ? "number" : "", scope: "col", ariaSort: "none" },
      el("button", { type: "button", onclick: () => { sorted = { column, down: sorted.column === column ? !sorted.down : index > 2 }; update(); } }, column)));
    const scroller = el("div", { className: "window", tabIndex: 0, role: "region", ariaLabel: "Class table" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), body));
    const space = (rows) => { const cell = el("td", { colSpan: COLUMNS.length }); cell.style.height = `${rows * ROW}px`; return el("tr", { className: "space" }, cell); };
    const cellOf = (index, column, place) => {
      const value = all[column][index];
      if (place > 1) return el("td", { className: "number" }, show(value));
      return el("td", { className: place ? "" : "name", title: place ? "" : value }, place ? value : classLink(split, all.mid[index], all.boxes[index] ? "boxes" : "positive", value));
    };
    function draw() {
      const first = Math.max(0, Math.floor(scroller.scrollTop / ROW) - 10);
      const last = Math.min(order.length, first + Math.ceil(scroller.clientHeight / ROW) + 20);
      body.replaceChildren(space(first), ...order.slice(first, last).map((index) => el("tr", {}, ...COLUMNS.map((column, place) => cellOf(index, column, place)))), space(order.length - last));
    }
    function update() {
      order = found(all, search.value);
      if (sorted.column) {
        const values = all[sorted.column];
        const sign = sorted.down ? -1 : 1;
        const compare = typeof values[0] === "string" ? (a, b) => values[a].localeCompare(values[b]) : (a, b) => (values[a] ?? Infinity) - (values[b] ?? Infinity);
        order.sort((a, b) => sign * compare(a, b) || a - b);
      }
      heads.forEach((head, index) => head.setAttribute("aria-sort", sorted.column !== COLUMNS[index] ? "none" : sorted.down ? "descending" : "ascending"));
      number.textContent = `${show(order.length)} of ${show(all.mid.length)} classes`;
      scroller.scrollTop = 0;
      draw();
    }
    scroller.addEventListener("scroll", () => requestAnimationFrame(draw));
    part.append(el("div", { className: "tools" }, search, number), scroller);
    update();
  }

  const nameOf = (split) => {
    const names = new Map(split.classes.mid.map((mid, index) => [mid, split.classes.name[index]]));
    return (mid) => names.get(mid) ?? mid;
  };

  // Shares of the images of the class of the row, so that frequent classes do not outshine all others.
  function together(split) {
    const { mid, images, together: counts } = split.class_pairs;
    if (mid.length < 2 || !counts.flat().some((count) => count)) return;
    const name = nameOf(split);
    const csv = { name: `${split.split}-classes-together`, columns: ["class", "other", "images with both"], rows: () => mid.flatMap((row, y) => mid.map((column, x) => [name(row), name(column), counts[y][x]])) };
    const part = section("Classes together", `Of the images of the class at the left, how many also have the class above: the ${mid.length} most frequent classes.`, true, csv);
    const head = el("tr", {}, el("th"), ...mid.map((column) => el("th", { className: "turned", scope: "col", title: name(column) }, el("span", {}, name(column)))));
    const rows = mid.map((row, y) => el("tr", {}, el("th", { scope: "row", className: "name", title: name(row) }, name(row)), ...mid.map((column, x) => {
      if (x === y) return el("td", { className: "pair same", title: `${name(row)}: ${show(images[y])} images` });
      const share = counts[y][x] / images[y];
      const cell = el("td", { className: "pair", title: `${name(row)} with ${name(column)}: ${show(counts[y][x])} of ${show(images[y])} images` }, counts[y][x] ? Math.round(100 * share) || "<1" : "");
      // At most 45 % of the colour, on which the text keeps its contrast.
      if (counts[y][x]) cell.style.backgroundColor = `color-mix(in srgb, var(--accent) ${Math.round(4 + 41 * share)}%, var(--background))`;
      return cell;
    })));
    part.append(el("div", { className: "scroll" }, el("table", { className: "pairs" }, el("thead", {}, head), el("tbody", {}, ...rows))), el("p", { className: "muted axis-title" }, "percent of images"));
  }

  function examples(split) {
    const pictures = data.examples[split.split];
    if (!pictures || !Object.keys(pictures).length) return;
    const name = nameOf(split);
    const part = section("Examples", "The largest box of the class in the first images that have one, with a margin.", true);
    const place = el("div", { className: "examples" });
    const mids = Object.keys(pictures);
    const draw = () => {
      const text = search.value.trim().toLowerCase();
      place.replaceChildren(...mids.filter((mid) => `${name(mid)}\n${mid}`.toLowerCase().includes(text)).map((mid) => el("figure", {},
        el("figcaption", {}, classLink(split, mid, "boxes", name(mid))),
        el("div", {}, ...pictures[mid].map((picture) => el("img", { src: picture.source, alt: `${name(mid)} in ${picture.image_id}`, title: picture.image_id }))))));
    };
    const search = searchField("example-search", draw);
    part.append(el("div", { className: "tools" }, search), place);
    draw();
  }

  // Every split beside the others, and the classes whose shares differ most.
  function sideBySide(splits) {
    if (splits.length < 2) return;
    const share = (part, whole) => (whole ? part / whole : 0);
    const percentage = (value) => percent(value, 1);
    const allBoxes = (split) => sum(Object.values(split.box_areas));
    const rates = [
      ["boxes per image", (split) => share(split.totals.boxes, split.totals.records), (value) => value.toFixed(2)],
      ["images without boxes", (split) => share(split.totals.images_without_boxes, split.totals.records), percentage],
      ["positive labels per image", (split) => share(split.totals.positive_labels, split.totals.records), (value) => value.toFixed(2)],
      ["boxes with a mask", (split) => share(split.totals.masks, split.totals.boxes), percentage],
      ["small boxes", (split) => share(split.box_areas.small, allBoxes(split)), percentage],
      ["large boxes", (split) => share(split.box_areas.large, allBoxes(split)), percentage],
    ];
    const counts = [
      ["images", (split) => show(split.totals.records)], ["boxes", (split) => show(split.totals.boxes)],
      ["classes with boxes", (split) => show(split.classes.boxes.filter((count) => count).length)],
      ["positive labels", (split) => show(split.totals.positive_labels)], ["negative labels", (split) => show(split.totals.negative_labels)],
      ["machine labels", (split) => show(split.totals.machine_labels)], ["masks", (split) => show(split.totals.masks)],
      ["rejects", (split) => (split.rejects === null ? "–" : show(sum(split.rejects.map((group) => group.count))))],
    ];
    const names = splits.map((split) => split.split);
    const rows = [
      ...counts.map(([label, value]) => [label, ...splits.map(value), ""]),
      ...rates.map(([label, value, format]) => [label, ...splits.map((split) => format(value(split))), format(spread(splits.map(value)))]),
    ];
    const part = section("Splits side by side", null, false, { name: "splits", columns: ["number", ...names, "difference"], rows: () => rows });
    part.append(table(["", ...names, "difference"], rows, [...names.map((_, index) => index + 1), names.length + 1]));
    classesSideBySide(splits);
  }

  function classesSideBySide(splits) {
    const column = splits.some((split) => split.totals.boxes) ? "boxes" : "positive";
    const filled = splits.filter((split) => sum(split.classes[column]));
    if (filled.length < 2) return;
    const shares = filled.map((split) => {
      const whole = sum(split.classes[column]);
      return new Map(split.classes.mid.map((mid, index) => [mid, split.classes[column][index] / whole]));
    });
    const labels = new Map(filled.flatMap((split) => split.classes.mid.map((mid, index) => [mid, split.classes.name[index]])));
    const rows = [...labels.keys()].map((mid) => {
      const values = shares.map((share) => share.get(mid) ?? 0);
      return { mid, values, difference: spread(values) };
    }).filter((row) => row.difference > 0).sort((a, b) => b.difference - a.difference || (a.mid < b.mid ? -1 : 1));
    const apart = filled.slice(1).map((split, index) => `${filled[0].split} and ${split.split} ${percent(sum(rows.map((row) => Math.abs(row.values[index + 1] - row.values[0]))) / 2, 1)}`);
    const counted = COUNTS[column];
    const csv = { name: "splits-classes", columns: ["class", "mid", ...filled.map((split) => split.split), "difference"], rows: () => rows.map((row) => [labels.get(row.mid), row.mid, ...row.values, row.difference]) };
    const classes = section("Classes that differ between the splits",
      `Share of the ${counted} that a class has in each split; the ${Math.min(MOST_BARS, rows.length)} classes with the greatest difference. Share of ${counted} that would need another class to make two splits alike: ${apart.join(", ")}.`, false, csv);
    const most = greatest(rows.map((row) => Math.max(...row.values)));
    const cell = (value, index) => el("span", { className: "share" }, percent(value, 1), el("meter", { max: most || 1, value, ariaLabel: filled[index].split }));
    classes.append(table(["class", ...filled.map((split) => split.split), "difference"], rows.slice(0, MOST_BARS).map((row) => [
      labels.get(row.mid), ...row.values.map(cell), `${(100 * row.difference).toFixed(2)} points`,
    ]), [...filled.map((_, index) => index + 1), filled.length + 1]));
  }

  return { barChart, classTable, together, examples, sideBySide };
})();
