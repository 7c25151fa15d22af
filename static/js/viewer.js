// The viewer's callbacks that run in the browser (diagnosis_tool/viewer/callbacks.py names them): what only changes the
// look never asks the server. Loaded last: the film is in viewer-pixels, -film, -stage and -hands, the reader's side in
// viewer-review and -keys.
"use strict";

(() => {
  const { viewer } = window;
  const { stage, review } = viewer;
  const nothing = () => window.dash_clientside.no_update;

  // the id of the button that was pressed; null for anything else and for buttons that were only just made
  function pressedButton() {
    const [first] = window.dash_clientside.callback_context.triggered;
    if (!first || !first.value || !first.prop_id.startsWith("{")) return null;
    return JSON.parse(first.prop_id.slice(0, first.prop_id.lastIndexOf(".")));
  }

  function choose() {
    const button = pressedButton();
    return button ? button.value : nothing();
  }

  const press = (chosen, ids) => ids.map((id) => String(id.value === chosen));

  function select(finding) {
    stage.select(finding);
    review.showSelected();
    for (const item of document.querySelectorAll("[data-finding]")) {
      item.setAttribute("aria-pressed", String(item.dataset.finding === finding));
    }
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

  function showImage(reading, selected) {
    if (stage.open(reading)) {
      select(selected);
      review.open(reading);
      stage.pressButtons();
      document.querySelector(".strip-item.is-shown")?.scrollIntoView({ block: "nearest" });
    }
    return reading.outputs[selected].blend;
  }

  // the film first: charts take longer, and the eye is on the film
  const painted = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume, 0)));

  async function drawTrend(selected, reading) {
    await painted();
    return reading.trends[selected] || reading.noTrend;
  }

  async function drawChart(order, reading) {
    await painted();
    return reading.figures[order];
  }

  const placeRows = (order, reading, ids) =>
    ids.map(({ finding }) => ({ top: `${100 * reading.places[order][finding]}%` }));

  function setOpacity(opacity) {
    stage.setOpacity(opacity);
    return { "--overlay-opacity": opacity };
  }

  // what somebody looks at is read first; the page says so itself, for callbacks only read
  async function attend(waiting) {
    if (!waiting.waits) return nothing();
    await fetch(`/instances/${encodeURIComponent(waiting.uid)}/attend`, viewer.posted({})).catch(() => {});
    return nothing();
  }

  async function tryAgain(clicks, waiting) {
    if (!clicks) return nothing();
    const response = await fetch(`/instances/${encodeURIComponent(waiting.uid)}/retry`, viewer.posted({})).catch(() => null);
    if (response && response.ok) window.location.reload();
    return tr("It could not be queued again. Reload the page.");
  }

  // a picture of the chart carries what belongs to it: names, file, model, and that it is for research
  async function saveChart(clicks, order, reading) {
    if (!clicks) return nothing();
    const figure = await (await fetch(`${reading.chart}?order=${order}`)).json();
    const { l, r } = figure.layout.margin;
    const layout = {
      ...figure.layout,
      margin: { ...figure.layout.margin, l: l + 24, r: r + 16, t: 64 },
      title: { text: reading.title, font: { size: 12 }, x: 0.03, xref: "container", y: 0.96, yanchor: "top" },
    };
    await Plotly.downloadImage({ data: figure.data, layout }, {
      format: "png", width: 900, height: 560, scale: 2, filename: reading.saveAs,
    });
    return clicks;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.viewer = { choose, press, showImage, drawChart, drawTrend, placeRows, setOpacity, attend, tryAgain, saveChart };
})();
