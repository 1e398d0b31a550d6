"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const root = document.documentElement;
  const card = document.getElementById("card");
  const config = { displayModeBar: false, doubleClick: "reset" };
  const LEAST_PLOT = 220; // pixels

  // "--blue/25" -> the theme's blue at 25 %; everything else stays.
  const themed = (value, style) => {
    if (typeof value === "string") {
      const [, name, share] = /^(--[\w-]+)(?:\/(\d+))?$/.exec(value) || [];
      if (!name) return value;
      const colour = style.getPropertyValue(name).trim();
      if (!share) return colour;
      const channels = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      return `rgba(${channels.join(",")},${share / 100})`;
    }
    if (Array.isArray(value)) return value.map((v) => themed(v, style));
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, themed(v, style)]));
    return value;
  };

  const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

  // Names at the lines' ends need room that a phone lacks; the key above the chart serves there.
  const fitted = (layout) => {
    if (layout.width - layout.margin.r >= LEAST_PLOT || !layout.annotations) return layout;
    const annotations = layout.annotations.filter((note) => note.name !== "end label");
    return { ...layout, annotations, margin: { ...layout.margin, r: 12 } };
  };

  const place = (x, y) => {
    const left = Math.min(x + 14, innerWidth - card.offsetWidth - 8);
    const top = y + 14 + card.offsetHeight > innerHeight ? y - 14 - card.offsetHeight : y + 14;
    card.style.left = `${Math.max(8, left)}px`;
    card.style.top = `${Math.max(8, top)}px`;
  };

  const showSample = ({ sheet, positions, captions, wide }, { points, event }) => {
    const index = points[0].customdata;
    card.classList.toggle("wide", wide);
    if (sheet) {
      card.firstElementChild.className = `sample sheet-${sheet}`;
      card.firstElementChild.style.backgroundPosition = positions[index];
    }
    card.lastElementChild.textContent = captions[index];
    card.hidden = false;
    place(event.clientX, event.clientY);
  };

  const draw = async (chart) => {
    const target = document.getElementById(chart.name);
    const plot = chart.variants[chart.choices.map(chosen).join("|")] || { data: [], layout: { margin: {} } };
    const { data, layout } = themed(plot, getComputedStyle(root));
    layout.font = { ...layout.font, family: getComputedStyle(document.body).fontFamily };
    if (chart.samples && matchMedia("(hover: hover)").matches) {
      layout.dragmode = "zoom"; // a finger must be free to scroll the page
    }
    const first = !target.data;
    [layout.width, layout.height] = [target.clientWidth, target.clientHeight];
    await Plotly.react(target, data, fitted(layout), config);
    if (first && chart.samples) {
      target.on("plotly_hover", (hit) => showSample(chart.samples, hit));
      target.on("plotly_click", (hit) => showSample(chart.samples, hit));
      target.on("plotly_unhover", () => { card.hidden = true; });
    }
  };

  const drawAll = async () => {
    let drawn = 0;
    for (const chart of charts) {
      await draw(chart);
      drawn += document.getElementById(chart.name).querySelector(".main-svg") ? 1 : 0;
      root.dataset.charts = `${drawn}/${charts.length}`;
    }
  };

  root.dataset.charts = `0/${charts.length}`;
  drawAll();

  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.layout && target.clientWidth !== target.layout.width)
        draw(charts.find((chart) => chart.name === target.id));
    }
  });
  for (const chart of charts) resized.observe(document.getElementById(chart.name));

  document.addEventListener("change", ({ target }) => {
    for (const chart of charts) if (chart.choices.includes(target.name)) draw(chart);
  });
  document.addEventListener("scroll", () => { card.hidden = true; }, { passive: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { root.dataset.print = ""; drawAll(); });
  addEventListener("afterprint", () => { delete root.dataset.print; drawAll(); });

  for (const button of document.querySelectorAll(".copy"))
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
})();
