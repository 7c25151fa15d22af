// What Plotly draws in the viewer: a finding's course over time, and the chart that is saved.
import { commands } from "./base.js";
import { order } from "./findings.js";
import { viewport } from "./viewport.js";

// the film first: charts take longer, and the eye is on the film
const painted = () => new Promise((resume) => requestAnimationFrame(() => setTimeout(resume, 0)));

export async function drawTrend(selected, facts) {
  await painted();
  return facts.trends[selected] || facts.noTrend;
}

function loadPlotly(address) {
  return new Promise((resume, fail) => {
    if (window.Plotly) resume();
    else document.head.append(Object.assign(document.createElement("script"), { src: address, onload: resume, onerror: fail }));
  });
}

// a picture of the chart carries what belongs to it: names, file, model, and that it is for research
commands["save-chart"] = async () => {
  const { facts } = viewport;
  const [answer] = await Promise.all([fetch(`${facts.chart}?order=${order()}`), loadPlotly(facts.plotly)]);
  const chart = await answer.json();
  const { l, r } = chart.layout.margin;
  const layout = {
    ...chart.layout,
    margin: { ...chart.layout.margin, l: l + 24, r: r + 16, t: 64 },
    title: { text: facts.title, font: { size: 12 }, x: 0.03, xref: "container", y: 0.96, yanchor: "top" },
  };
  await window.Plotly.downloadImage({ data: chart.data, layout }, {
    format: "png", width: 900, height: 560, scale: 2, filename: facts.saveAs,
  });
};
