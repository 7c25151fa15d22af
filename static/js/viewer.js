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

  function select(clickData) {
    const triggered = window.dash_clientside.callback_context.triggered;
    if (!triggered.length || !triggered[0].value) return nothing(); // buttons that were only just made
    const id = triggered[0].prop_id;
    if (id.startsWith("{")) return JSON.parse(id.slice(0, id.lastIndexOf("."))).finding;
    return clickData.points[0].customdata[0];
  }

  function showHeatmap(selected, reading, mapIds) {
    const output = reading.outputs[selected];
    fetchAhead(reading.outputs);
    return [
      output.heatmap,
      output.below ? "overlay below" : "overlay",
      output.below ? `${output.sentence} – map dimmed` : output.sentence,
      output.blend,
      mapIds.map((id) => String(id.finding === selected)),
    ];
  }

  function drawChart(selected, order, reading) {
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
    const { l } = figure.layout.margin;
    const layout = {
      ...figure.layout,
      margin: { ...figure.layout.margin, l: l + 24, r: 24, t: 56 },
      title: { text: reading.title, font: { size: 12 }, x: 0, xref: "paper", y: 0.965 },
      shapes: figure.layout.shapes.slice(0, -1), // without the mark of the selected row
    };
    await Plotly.downloadImage({ data: figure.data, layout }, {
      format: "png", width: 900, height: 560, scale: 2, filename: reading.saveAs,
    });
    return clicks;
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.viewer = { select, showHeatmap, drawChart, setLook, saveChart };
})();
