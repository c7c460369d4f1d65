"use strict";
// Elements, tables and charts of the report; the other programs of the page use them.
const page = (() => {
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
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const greatest = (values) => values.reduce((most, value) => Math.max(most, value), 0);
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

  // Buttons of which one is pressed; `choose` is called with the value of another one.
  function choice(label, values, chosen, choose) {
    const buttons = values.map(([value, text]) => el("button", {
      type: "button", ariaPressed: String(value === chosen),
      onclick: () => { buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(values[index][0] === value))); choose(value); },
    }, text));
    return el("span", { className: "choice", role: "group", ariaLabel: label }, ...buttons);
  }

  const SCALES = [["linear", "linear"], ["log", "log"]];

  // Horizontal bars: a name, a bar and the count of each of `rows` {label, value, title}; `axis` names the values.
  function bars(rows, { axis, log, most }) {
    const share = (value) => (!value ? 0 : log ? Math.log10(value + 1) / Math.log10(most + 1) : value / most);
    const ticks = log ? decades(most) : steps(most);
    const list = el("div", { className: "bars", role: "table", ariaLabel: axis });
    for (const { label, value, title } of rows) {
      const bar = el("span", { className: "bar" });
      bar.style.width = `${100 * share(value)}%`;
      list.append(el("div", { className: "bar-row", role: "row", title }, el("span", { className: "bar-name", role: "rowheader" }, label),
        el("span", { className: "bar-place", role: "cell" }, bar, el("span", { className: "bar-count" }, show(value)))));
    }
    const scale = el("span", { className: "bar-place scale", ariaHidden: "true" });
    for (const tick of ticks) {
      const mark = el("span", { className: "tick" }, short.format(tick));
      mark.style.left = `${100 * share(tick)}%`;
      scale.append(mark);
    }
    const title = el("span", { className: "bar-place axis-title" }, `${axis}${log ? ", log scale" : ""}`);
    return el("div", {}, list, el("div", { className: "bar-row" }, el("span"), scale), el("div", { className: "bar-row" }, el("span"), title));
  }

  function decades(most) {
    const powers = Array.from({ length: Math.floor(Math.log10(Math.max(most, 1))) + 1 }, (_, power) => 10 ** power);
    return [0, ...powers];
  }

  function steps(most) {
    const rough = Math.max(most, 1) / 4;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough));
    return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
  }

  // Columns over the bins of a histogram, with titles of both axes.
  function columns(host, { values, tick, describe, log, label, xTitle, yTitle, height = 260 }) {
    const box = el("div", { className: "chart", role: "img", ariaLabel: label });
    const readout = el("div", { className: "readout muted", ariaLive: "polite" }, " ");
    host.append(box, readout);
    const count = values.length;
    const onlyDecades = (plot, splits) => splits.map((y) => (log && !Number.isInteger(Math.log10(y)) ? null : y));
    const font = "12px system-ui, sans-serif";
    const axis = {
      stroke: () => colour("muted"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line") },
      font, labelFont: font, labelSize: 18, labelGap: 2,
    };
    const options = {
      width: Math.max(box.clientWidth, 200), height, legend: { show: false },
      cursor: { points: { show: false }, y: false, drag: { x: true, y: false } },
      scales: {
        x: { time: false, range: (plot, low, high) => [Math.max(low, 0) - 0.5, Math.min(high, count - 1) + 0.5] },
        y: log
          ? { distr: 3, range: (plot, low, high) => [0.6, Math.max(high || 1, 10) * 1.6] }
          : { range: (plot, low, high) => [0, (high || 1) * 1.05] },
      },
      axes: [
        { ...axis, label: xTitle, space: 60, size: 28, values: (plot, splits) => splits.map((x) => (Number.isInteger(x) && x >= 0 && x < count ? tick(x) : "")) },
        {
          ...axis, label: log ? `${yTitle}, log scale` : yTitle, size: 44, filter: onlyDecades, grid: { ...axis.grid, filter: onlyDecades }, ticks: { ...axis.ticks, filter: onlyDecades },
          values: (plot, splits) => splits.map((y) => (y === null || !Number.isInteger(y) ? "" : short.format(y))),
        },
      ],
      series: [{}, {
        stroke: () => colour("accent"), fill: () => colour("accent"), width: 1, paths: uPlot.paths.bars({ size: [0.9, 64], gap: 0 }),
        fillTo: () => (log ? 0.6 : 0), points: { show: false },
      }],
      hooks: { setCursor: [(plot) => { const index = plot.cursor.idx; readout.textContent = index === null || index === undefined ? " " : describe(index); }] },
    };
    const plot = new uPlot(options, [[...Array(count).keys()], values.map((value) => (log && value <= 0 ? null : value))], box);
    const observer = new ResizeObserver(() => {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height });
    });
    observer.observe(box);
    charts.push({ plot, observer, box });
  }

  // Cells of a table of numbers of boxes, in more colour for more boxes; a cell without any stays empty.
  function heatMap(host, { counts, label, describe, xTitle, yTitle, xTicks, yTicks, ratio }) {
    const most = greatest(counts.flat());
    const readout = el("div", { className: "readout muted", ariaLive: "polite" }, `at most ${show(most)} boxes in a cell`);
    const cells = el("div", { className: "cells", role: "img", ariaLabel: label });
    cells.style.gridTemplateColumns = `repeat(${counts[0].length}, 1fr)`;
    cells.style.aspectRatio = ratio;
    counts.forEach((row, y) => row.forEach((count, x) => {
      const cell = el("i");
      if (count) cell.style.backgroundColor = `color-mix(in srgb, var(--accent) ${Math.round(8 + 92 * (count / most))}%, var(--background))`;
      cell.dataset.place = `${y} ${x}`;
      cells.append(cell);
    }));
    cells.addEventListener("pointerover", (event) => {
      if (event.target.dataset.place) readout.textContent = describe(...event.target.dataset.place.split(" ").map(Number));
    });
    host.append(el("div", { className: "heat" },
      el("span", { className: "y-title axis-title" }, yTitle), el("span", { className: "y-ticks" }, ...yTicks.map((text) => el("span", {}, text))), cells,
      el("span", { className: "x-ticks" }, ...xTicks.map((text) => el("span", {}, text))), el("span", { className: "x-title axis-title" }, xTitle)), readout);
  }

  // Ends charts that are in no document any more, or all.
  function endCharts(all) {
    const ended = charts.filter(({ box }) => all || !box.isConnected);
    charts = charts.filter((chart) => !ended.includes(chart));
    for (const { plot, observer } of ended) { observer.disconnect(); plot.destroy(); }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach(({ plot }) => plot.redraw(false)));

  // The browser's view of the images of a class; the address of the browser is one of http or https.
  function classLink(split, mid, kind, text) {
    if (!data.browser) return text;
    const url = new URL(data.browser);
    url.searchParams.set("class", mid);
    url.searchParams.set("split", split.split);
    if (kind !== "boxes") url.searchParams.set("kind", kind);
    return el("a", { href: url.href, target: "_blank", rel: "noopener" }, text);
  }

  return { data, byId, show, percent, sum, greatest, el, section, table, meter, choice, SCALES, bars, columns, heatMap, endCharts, classLink };
})();
