// The viewer's callbacks that run in the browser (diagnosis_tool/viewer/callbacks.py names them): what only changes the
// look never asks the server.
"use strict";

(() => {
  const nothing = () => window.dash_clientside.no_update;
  const fetched = new Set();

  // fetches every heatmap once while nobody waits, so that choosing one is instant
  function fetchAhead(outputs) {
    for (const output of Object.values(outputs)) {
      if (fetched.has(output.heatmap)) continue;
      fetched.add(output.heatmap);
      new Image().src = output.heatmap;
    }
  }

  // the id of the button that was pressed; null for anything else and for buttons that were only just made
  function pressedButton() {
    const [first] = window.dash_clientside.callback_context.triggered;
    if (!first || !first.value || !first.prop_id.startsWith("{")) return null;
    return JSON.parse(first.prop_id.slice(0, first.prop_id.lastIndexOf(".")));
  }

  function select(clickData) {
    const button = pressedButton();
    if (button) return button.finding;
    return clickData ? clickData.points[0].customdata[0] : nothing();
  }

  function choose() {
    const button = pressedButton();
    return button ? button.value : nothing();
  }

  const press = (chosen, ids) => ids.map((id) => String(id.value === chosen));

  function showHeatmap(selected, reading, mapIds) {
    const output = reading.outputs[selected];
    fetchAhead(reading.outputs);
    document.querySelector(".strip-item.is-shown")?.scrollIntoView({ block: "nearest" });
    return [
      output.heatmap,
      output.below ? "overlay below" : "overlay",
      output.caption,
      output.blend,
      mapIds.map((id) => String(id.finding === selected)),
    ];
  }

  // the overlay first: redrawing the chart takes longer, and the eye is on the film
  const painted = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume, 0)));

  async function drawChart(selected, order, reading) {
    await painted();
    const figure = reading.figures[order];
    const row = figure.layout.meta.rows[selected];
    const mark = {
      type: "rect", xref: "paper", x0: 0, x1: 1, y0: row - 0.5, y1: row + 0.5,
      line: { width: 1, color: "#58a6ff" }, fillcolor: "rgba(88, 166, 255, 0.12)", layer: "below",
    };
    return { ...figure, layout: { ...figure.layout, shapes: [...figure.layout.shapes, mark] } };
  }

  const setLook = (opacity, mode) => [{ "--overlay-opacity": opacity }, `stage ${mode}`];

  // a picture of the chart carries what belongs to it: file, model, and that it is for research
  async function saveChart(clicks, figure, reading) {
    if (!clicks) return nothing();
    const { l, r } = figure.layout.margin;
    const layout = {
      ...figure.layout,
      margin: { ...figure.layout.margin, l: l + 24, r: r + 16, t: 64 },
      title: { text: reading.title, font: { size: 12 }, x: 0.03, xref: "container", y: 0.96, yanchor: "top" },
      shapes: figure.layout.shapes.slice(0, -1), // without the mark of the selected row
    };
    await Plotly.downloadImage({ data: figure.data, layout }, {
      format: "png", width: 900, height: 560, scale: 2, filename: reading.saveAs,
    });
    return clicks;
  }

  // Plotly tells of clicks on bars only; a finding's name shall do the same
  document.addEventListener("click", (event) => {
    const tick = event.target.closest("#chart .ytick");
    if (!tick) return;
    const { layout } = document.querySelector("#chart .js-plotly-plot");
    const row = layout.yaxis.tickvals[layout.yaxis.ticktext.indexOf(tick.textContent)];
    const name = Object.keys(layout.meta.rows).find((key) => layout.meta.rows[key] === row);
    if (name) window.dash_clientside.set_props("selected", { data: name });
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.viewer = { select, choose, press, showHeatmap, drawChart, setLook, saveChart };
})();
