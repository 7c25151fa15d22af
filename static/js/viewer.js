// What shows an image and its findings, and Dash's callbacks that run in the browser (diagnosis_tool/viewer/callbacks.py
// names them): what only changes the look never asks the server. The film is in viewer-pixels, -film, -stage and -hands,
// the reader's side in viewer-review and -keys.
"use strict";

(() => {
  const { viewer } = window;
  const { stage, review } = viewer;
  const byId = (id) => document.getElementById(id);
  const nothing = () => window.dash_clientside.no_update;

  function markSelected() {
    for (const item of document.querySelectorAll("[data-finding]")) {
      item.setAttribute("aria-pressed", String(item.dataset.finding === stage.selected));
    }
    byId("save-heatmap").href = stage.facts.outputs[stage.selected].blend;
  }

  function select(finding) {
    stage.select(finding);
    review.showSelected();
    markSelected();
  }

  // at once, for the next key may be a verdict on it; Dash is told for what it draws
  viewer.choose = (finding) => {
    select(finding);
    window.dash_clientside.set_props("selected", { data: finding });
  };
  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-finding]");
    if (!item) return;
    if (item.matches(".map")) stage.showHeatmap(true);
    viewer.choose(item.dataset.finding);
  });

  // an image that was read; reading: facts.ReadingFacts
  function showImage(reading, selected) {
    if (stage.open(reading)) {
      select(selected);
      review.open(reading);
      stage.pressButtons();
      showOrder();
      document.querySelector(".strip-item.is-shown")?.scrollIntoView({ block: "nearest" });
    }
    return nothing();
  }

  // the film first: charts take longer, and the eye is on the film
  const painted = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume, 0)));

  async function drawTrend(selected, reading) {
    await painted();
    return reading.trends[selected] || reading.noTrend;
  }

  // ---- order of the findings: kept for the session ----------------------------------------------------------------
  const ORDER = "findings-order";
  const order = () => sessionStorage.getItem(ORDER) || "anatomical";

  function showOrder() {
    const places = stage.facts.places[order()];
    for (const row of document.querySelectorAll(".finding-row")) row.style.top = `${100 * places[row.dataset.finding]}%`;
    for (const button of document.querySelectorAll("[data-order]")) {
      button.setAttribute("aria-pressed", String(button.dataset.order === order()));
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-order]");
    if (!button) return;
    sessionStorage.setItem(ORDER, button.dataset.order);
    showOrder();
  });
  document.addEventListener("input", (event) => {
    if (event.target.id === "opacity") stage.setOpacity(event.target.value);
  });

  // what somebody looks at is read first; the page says so itself, for callbacks only read
  async function attend(waiting) {
    if (!waiting.waits) return nothing();
    await fetch(`/instances/${encodeURIComponent(waiting.uid)}/attend`, viewer.posted({})).catch(() => {});
    return nothing();
  }

  async function tryAgain() {
    const uid = byId("retry").dataset.uid;
    const response = await fetch(`/instances/${encodeURIComponent(uid)}/retry`, viewer.posted({})).catch(() => null);
    if (response && response.ok) window.location.reload();
    else byId("retry-words").textContent = tr("It could not be queued again. Reload the page.");
  }

  function loadPlotly(address) {
    return new Promise((resume, fail) => {
      if (window.Plotly) resume();
      else document.head.append(Object.assign(document.createElement("script"), { src: address, onload: resume, onerror: fail }));
    });
  }

  // a picture of the chart carries what belongs to it: names, file, model, and that it is for research
  async function saveChart() {
    const reading = stage.facts;
    const [answer] = await Promise.all([fetch(`${reading.chart}?order=${order()}`), loadPlotly(reading.plotly)]);
    const figure = await answer.json();
    const { l, r } = figure.layout.margin;
    const layout = {
      ...figure.layout,
      margin: { ...figure.layout.margin, l: l + 24, r: r + 16, t: 64 },
      title: { text: reading.title, font: { size: 12 }, x: 0.03, xref: "container", y: 0.96, yanchor: "top" },
    };
    await Plotly.downloadImage({ data: figure.data, layout }, {
      format: "png", width: 900, height: 560, scale: 2, filename: reading.saveAs,
    });
  }

  Object.assign(viewer.commands, { "save-chart": saveChart, "try-again": tryAgain });
  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.viewer = { showImage, drawTrend, attend };
  new DashRenderer(); // as Dash's inline script would, which may not run here
})();
