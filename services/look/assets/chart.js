// Charts. A figure with data-chart holds a table, which is the chart for readers and for whoever prints;
// this draws the same numbers above it. The first column is a Unix time in seconds (data-at of its row),
// the others are series: <th data-series> names them, <td data-value> has the numbers.
//
//   data-chart="bars"    stacked bars, one per row
"use strict";

(() => {
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colours = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];

  function read(table) {
    const series = [...table.querySelectorAll("thead th[data-series]")].map((th) => th.textContent.trim());
    const rows = [...table.querySelectorAll("tbody tr[data-at]")];
    const at = rows.map((row) => Number(row.dataset.at));
    const labels = rows.map((row) => row.querySelector("th").textContent.trim());
    const cells = rows.map((row) => [...row.querySelectorAll("td[data-value]")]);
    const values = series.map((_, i) => cells.map((row) => Number(row[i].dataset.value)));
    const texts = series.map((_, i) => cells.map((row) => row[i].textContent.trim()));
    return { series, at, labels, values, texts };
  }

  // Each series stands on those before it: drawn from the last to the first, the sums show as a stack.
  function stack(values) {
    const sums = [];
    values.forEach((one, i) => sums.push(one.map((v, at) => v + (i ? sums[i - 1][at] : 0))));
    return sums;
  }

  function tip(figure, data) {
    const box = document.createElement("div");
    box.className = "chart-tip";
    box.hidden = true;
    box.setAttribute("aria-hidden", "true");
    return {
      hooks: {
        init: (u) => u.over.append(box),
        setCursor: (u) => {
          const i = u.cursor.idx;
          box.hidden = i == null || u.cursor.left < 0;
          if (box.hidden) return;
          const title = document.createElement("strong");
          title.textContent = data.labels[i];
          const list = document.createElement("ul");
          data.series.forEach((name, s) => {
            const line = document.createElement("li"), what = document.createElement("span"), dot = document.createElement("span");
            const value = document.createElement("span");
            dot.className = `dot c${s % 6 + 1}`;
            what.append(dot, name);
            value.className = "num";
            value.textContent = data.texts[s][i];
            line.append(what, value);
            list.append(line);
          });
          box.replaceChildren(title, list);
          const right = u.cursor.left > u.over.clientWidth / 2;
          box.style.left = right ? "auto" : `${u.cursor.left + 14}px`;
          box.style.right = right ? `${u.over.clientWidth - u.cursor.left + 14}px` : "auto";
          box.style.top = "8px";
        },
      },
    };
  }

  function short(value, locale) {
    return new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(value);
  }

  function draw(figure) {
    const table = figure.querySelector("table"), place = figure.querySelector(".chart");
    if (!table || !place) return;
    const data = read(table), locale = document.documentElement.lang;
    place.replaceChildren();
    if (!data.at.length) return;
    const shown = stack(data.values);
    const width = () => Math.max(place.clientWidth, 200);
    const half = data.at.length > 1 ? (data.at[1] - data.at[0]) / 2 : 43200;
    const order = data.series.map((_, i) => i).reverse();
    const chart = new uPlot({
      width: width(), height: Number(figure.dataset.height) || 240, padding: [12, 22, 0, 0], // the last day stands under the last bar, and half of it beside it
      legend: { show: false },
      cursor: { y: false, x: false, points: { show: false }, drag: { x: false, y: false } },
      plugins: [tip(figure, data)],
      scales: {
        x: { time: false, range: (u, min, max) => [min - half, max + half] },
        y: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        {
          stroke: token("--ink-3"), grid: { show: false }, ticks: { show: false }, font: `11px ${token("--font")}`, gap: 6, size: 30, space: 56,
          splits: (u) => {
            const every = Math.max(1, Math.ceil(data.at.length * 60 / Math.max(u.over.clientWidth || width(), 1)));
            return data.at.filter((_, i) => (data.at.length - 1 - i) % every === 0);
          },
          values: (u, splits) => splits.map((at) => data.labels[data.at.indexOf(at)] ?? ""), // as the table writes it
        },
        {
          stroke: token("--ink-3"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: `11px ${token("--font")}`, size: 48, gap: 6,
          values: (u, splits) => splits.map((s) => short(s, locale)),
        },
      ],
      series: [{}, ...order.map((i) => ({
        label: data.series[i],
        width: 0,
        fill: token(colours[i % 6]),
        paths: uPlot.paths.bars({ size: [0.66, 28, 2], radius: 0.12, gap: 1 }),
        points: { show: false },
      }))],
    }, [data.at, ...order.map((i) => shown[i])], place);
    // What is drawn is in the table, so readers are spared the canvas.
    chart.root.setAttribute("aria-hidden", "true");
    const fit = new ResizeObserver(() => {
      if (!place.isConnected) fit.disconnect();
      else if (Math.abs(chart.width - width()) > 1) chart.setSize({ width: width(), height: chart.height });
    });
    fit.observe(place);
    figure.dataset.drawn = String(data.at.length);
  }

  const drawAll = (root) => (root.matches?.("[data-chart]") ? [root] : root.querySelectorAll?.("[data-chart]") ?? []).forEach(draw);
  document.addEventListener("DOMContentLoaded", () => drawAll(document));
  document.addEventListener("htmx:afterSettle", (event) => drawAll(event.detail.elt));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(document));
})();
