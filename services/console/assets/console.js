// What the console's pages do beyond links and forms: the menu of small screens, dialogs, the live tail,
// the charts of the overview, the editor's line numbers. Each finds its own place on the page, or does
// nothing.
"use strict";

(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // ── Menu, chooser, dialogs ─────────────────────────────────────────────────────────────────────────
  const menu = $(".con-menu"), nav = $("#con-nav");
  menu?.addEventListener("click", () => menu.setAttribute("aria-expanded", String(nav.classList.toggle("open"))));

  document.addEventListener("change", (event) => {
    const select = event.target;
    if (select.dataset?.go && select.value) location.href = select.dataset.go + encodeURIComponent(select.value);
    if (select.dataset?.shows) {
      const [id, value] = select.dataset.shows.split(" ");
      document.getElementById(id).hidden = select.value !== value;
    }
  });
  $(".con-choose")?.addEventListener("submit", (event) => event.preventDefault());

  const dialog = $("#ask");
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id !== "ask-body" || dialog.open) return;
    dialog.showModal();
    $("input:not([type=hidden]), select, textarea, button.primary, button.danger", dialog)?.focus();
  });
  dialog?.addEventListener("close", () => {
    // The secret of a key must not stay in a closed dialog; the list behind it has a new line.
    const made = $("#secret", dialog) !== null;
    $("#ask-body").replaceChildren();
    if (made) location.assign("/admin/keys");
  });

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (!copy) return;
    const text = document.getElementById(copy.dataset.copy);
    try {
      await navigator.clipboard.writeText(text.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected: press Ctrl-C";
    }
  });

  // ── Editor ─────────────────────────────────────────────────────────────────────────────────────────
  const source = $("#source"), gutter = $(".con-gutter");
  if (source && gutter) {
    const marked = new Set(source.dataset.marked.split(" ").filter(Boolean).map(Number));
    let drawn = 0;
    const number = () => {
      const lines = source.value.split("\n").length;
      if (lines !== drawn) {
        drawn = lines;
        gutter.replaceChildren(...Array.from({ length: lines }, (_, i) => {
          const line = document.createElement("span");
          line.textContent = i + 1;
          if (marked.has(i + 1)) line.className = "wrong";
          return line;
        }));
      }
      gutter.scrollTop = source.scrollTop;
    };
    source.addEventListener("input", () => { marked.clear(); drawn = 0; number(); });
    source.addEventListener("scroll", number);
    number();
    const goTo = (line) => {
      const before = source.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
      const end = source.value.indexOf("\n", before);
      source.focus();
      source.setSelectionRange(before, end < 0 ? source.value.length : end);
      source.scrollTop = (line - 6) * parseFloat(getComputedStyle(source).lineHeight);
    };
    document.addEventListener("click", (event) => {
      const link = event.target.closest("[data-line]");
      if (!link) return;
      event.preventDefault();
      goTo(Number(link.dataset.line));
    });
    if (marked.size) goTo(Math.min(...marked));
    source.form.addEventListener("submit", (event) => {
      const question = event.submitter?.dataset.confirm;
      if (question && !confirm(question)) {
        event.preventDefault();
        delete source.form.dataset.sent;
      }
    }, true);
  }

  // ── Live tail ──────────────────────────────────────────────────────────────────────────────────────
  // The browser itself reconnects and says how far it was; where it gives up, this goes on the same way.
  const tail = $("#tail");
  if (tail) {
    const state = $("#tail-state"), pause = $("#tail-pause"), most = 200;
    let last = "", source, wait = 500, held = [], paused = false, shown = "";
    const say = (text, tone) => {
      if (shown === text) return;
      shown = text;
      state.textContent = text;
      state.className = `badge ${tone}`;
    };
    const show = (html) => {
      $("#tail-empty").hidden = true;
      const rows = document.createElement("template");
      rows.innerHTML = html;
      tail.prepend(rows.content);
      while (tail.rows.length > most) tail.lastElementChild.remove();
    };
    const connect = () => {
      const at = last ? `after=${encodeURIComponent(last)}` : `from=${encodeURIComponent(tail.dataset.from)}`;
      source = new EventSource(`${tail.dataset.tail}?${at}${tail.dataset.filter ? `&${tail.dataset.filter}` : ""}`);
      source.addEventListener("open", () => { wait = 500; say("live", "good"); });
      source.addEventListener("rows", (event) => {
        last = event.lastEventId;
        if (paused) held = [event.data, ...held].slice(0, most);
        else show(event.data);
      });
      source.addEventListener("bye", () => { source.close(); say("signed out", "bad"); });
      source.addEventListener("error", () => {
        say("reconnecting", "warn");
        if (source.readyState !== EventSource.CLOSED) return;
        setTimeout(connect, wait);
        wait = Math.min(wait * 2, 10000);
      });
    };
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Go on" : "Pause";
      if (!paused) held.reverse().forEach(show);
      if (!paused) held = [];
    });
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
    connect();
  }

  // ── Charts ─────────────────────────────────────────────────────────────────────────────────────────
  const vitals = $("[data-vitals]");
  if (vitals && window.uPlot) {
    const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const colours = ["--c1", "--c3"], keep = 600, spanSeconds = 300;
    const columns = { at: [], events: [], commits: [], p50: [], p99: [], queue: [], lag: [] };
    const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
    const whole = new Intl.NumberFormat("en");
    const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false, timeZone: "UTC" });
    const write = {
      count: (v) => v == null ? "–" : whole.format(v),
      time: (v) => v == null ? "–" : v < 1000 ? `${v} µs` : v < 1e6 ? `${(v / 1000).toFixed(1)} ms` : `${(v / 1e6).toFixed(2)} s`,
    };
    const axis = { count: (v) => compact.format(v), time: (v) => v === 0 ? "0" : v < 1000 ? `${v} µs` : v < 1e6 ? `${+(v / 1000).toFixed(1)} ms` : `${+(v / 1e6).toFixed(1)} s` };
    const steps = [1, 2, 5].flatMap((n) => Array.from({ length: 12 }, (_, i) => n * 10 ** i)).sort((a, b) => a - b);
    const powers = Array.from({ length: 9 }, (_, i) => 10 ** i);
    const panels = $$("[data-series]", vitals).map((figure) => ({
      place: $(".vital-chart", figure), now: $$(".vital-now b", figure),
      series: figure.dataset.series.split(" "), format: figure.dataset.format, chart: null,
    }));
    const data = (panel) => [columns.at, ...panel.series.map((name) => columns[name])];
    const width = (panel) => Math.max(panel.place.clientWidth - 16, 160);

    // The figures above a chart are those of now or, under the pointer, of then.
    function figures(panel, i) {
      panel.series.forEach((name, s) => {
        panel.now[s].textContent = write[panel.format](i == null ? columns[name].at(-1) ?? (panel.format === "time" ? null : 0) : columns[name][i]);
      });
    }

    function build(panel) {
      panel.chart?.destroy();
      panel.chart = new uPlot({
        width: width(panel), height: 188, padding: [12, 28, 0, 0], legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, sync: { key: "vitals" } },
        hooks: { setCursor: [(u) => figures(panel, u.cursor.left < 0 ? null : u.cursor.idx)] },
        scales: {
          x: { time: false, range: (u, min, max) => { const end = max ?? Date.now() / 1000; return [end - spanSeconds, end]; } },
          // One slow second must not make all others look alike: times are drawn by their powers of ten.
          y: panel.format === "time"
            ? { distr: 3, range: (u, min, max) => [10, Math.max(10 ** Math.ceil(Math.log10((max || 1) * 1.15)), 10000)] }
            : { range: (u, min, max) => [0, Math.max((max || 0) * 1.15, 4)] }, // quiet is to look quiet
        },
        axes: [
          { stroke: token("--ink-3"), grid: { show: false }, ticks: { show: false }, font: `11px ${token("--font")}`, size: 28, gap: 6, space: 80, incrs: [15, 30, 60, 120], values: (u, splits) => splits.map((s) => clock.format(s * 1000)) },
          { stroke: token("--ink-3"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: `11px ${token("--font")}`, size: 56, gap: 6, space: 36,
            ...(panel.format === "time" ? { filter: (u, splits) => splits, splits: (u) => powers.filter((n) => n >= u.scales.y.min && n <= u.scales.y.max) } : { incrs: steps }),
            values: (u, splits) => splits.map(axis[panel.format]) },
        ],
        series: [{}, ...panel.series.map((name, s) => ({
          stroke: token(colours[s]), width: 1.75, spanGaps: false, points: { show: true, filter: (u, i) => isolated(u.data[i]), size: 4 },
          fill: s === 0 ? `color-mix(in srgb, ${token(colours[0])} 12%, transparent)` : undefined,
        }))],
      }, data(panel), panel.place);
      panel.chart.root.setAttribute("aria-hidden", "true");
    }
    // Latency has gaps where nothing was asked: single samples between gaps are drawn as points.
    const isolated = (values) => [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null);

    const draw = () => panels.forEach((panel) => {
      if (!panel.chart) build(panel);
      else panel.chart.setData(data(panel));
      if (!panel.place.matches(":hover")) figures(panel, null);
    });

    // Where nothing was sampled nothing is drawn: a gap is no slope.
    const append = (more) => (more.at ?? []).forEach((at, i) => {
      const last = columns.at.at(-1);
      const silent = last != null && (at - last) * 1000 > 3 * Math.max(Number(vitals.dataset.every), 1000);
      for (const name of Object.keys(columns)) {
        if (silent) columns[name].push(name === "at" ? last + 1 : null);
        columns[name].push(more[name][i]);
        columns[name] = columns[name].slice(-keep);
      }
    });
    const state = $("#vital-state");
    let after = "", failed = 0;
    const poll = async () => {
      try {
        const answer = await fetch(`${vitals.dataset.vitals}${after ? `?after=${after}` : ""}`, { headers: { "HX-Request": "true" } });
        if (answer.status === 401) return location.assign("/admin/sign-in");
        if (!answer.ok) throw new Error(answer.statusText);
        const more = await answer.json();
        after = more.last;
        append(more);
        draw();
        vitals.dataset.samples = columns.at.length;
        if (failed) { state.textContent = "Live"; state.className = "badge good"; }
        failed = 0;
      } catch {
        if (++failed === 2) { state.textContent = "Reconnecting"; state.className = "badge warn"; }
      }
      setTimeout(poll, Math.max(Number(vitals.dataset.every), 1000));
    };
    poll();
    new ResizeObserver(() => panels.forEach((panel) => panel.chart && Math.abs(panel.chart.width - width(panel)) > 1 && panel.chart.setSize({ width: width(panel), height: 188 }))).observe(vitals);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panels.forEach(build));
  }
})();
