// Study page: draws the charts one after another, the visible ones first, and keeps the cards up to date while images
// are read. Cards come from the server as HTML, so there is one template for them.
import { tr } from "./texts.js";

const study = document.getElementById("study");
const batch = document.getElementById("batch");
const words = document.getElementById("batch-words");
const total = Number(study.dataset.total);
const pollMs = 1000;

// ---- charts -------------------------------------------------------------------------------------------------
const waiting = new Set();
const visible = new Set();
let drawing = false;

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) visible.add(entry.target);
    else visible.delete(entry.target);
  }
}, { rootMargin: "200px" });

function nextChart() {
  for (const chart of waiting) if (visible.has(chart)) return chart;
  return waiting.values().next().value;
}

async function draw(chart) {
  const response = await fetch(chart.dataset.chart);
  if (!chart.isConnected) return;
  if (!response.ok) throw new Error(`chart ${response.status}`);
  const { data, layout } = await response.json();
  await Plotly.newPlot(chart, data, layout, { displayModeBar: false, responsive: true });
  chart.on("plotly_click", (event) => {
    const finding = encodeURIComponent(event.points[0].customdata[0]);
    window.location.assign(`${chart.dataset.viewer}&finding=${finding}`);
  });
}

// one chart at a time with a pause between: 24 charts never hold the page up
async function drawAll() {
  if (drawing) return;
  drawing = true;
  await new Promise(requestAnimationFrame); // the watcher reports first
  while (waiting.size > 0) {
    const chart = nextChart();
    waiting.delete(chart);
    try {
      await draw(chart);
    } catch {
      chart.textContent = tr("The chart could not be drawn. Reload the page.");
    }
    await new Promise((resume) => setTimeout(resume, 0));
  }
  drawing = false;
}

function addCharts(root) {
  for (const chart of root.querySelectorAll(".chart")) {
    waiting.add(chart);
    watcher.observe(chart);
  }
  drawAll();
}

// ---- live state ---------------------------------------------------------------------------------------------
async function refreshCard(uid) {
  const response = await fetch(study.dataset.cards + uid);
  if (!response.ok) throw new Error(`card ${response.status}`);
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  const fresh = template.content.querySelector(".card");
  document.getElementById(`image-${uid}`).replaceWith(fresh);
  addCharts(fresh);
  return fresh;
}

function refreshStrip(instance, card) {
  const item = study.querySelector(`[data-strip="${instance.uid}"]`);
  item.className = `strip-item chip-${instance.state}`;
  item.querySelector(".shape").textContent = instance.shape;
  item.querySelector(".state").textContent = instance.word;
  const film = card.querySelector(".film img");
  const blank = item.querySelector(".blank");
  if (film && blank) {
    const picture = new Image();
    picture.src = film.src;
    picture.alt = "";
    blank.replaceWith(picture);
  }
}

async function poll() {
  let finished = false;
  try {
    const response = await fetch(study.dataset.status);
    if (response.status === 401) return window.location.reload(); // the sign-in has ended: to the way in and back
    if (response.status === 404) {
      words.textContent = tr("This study is no longer stored. Go back to the worklist.");
      return;
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    for (const instance of status.instances) {
      let card = document.getElementById(`image-${instance.uid}`);
      if (card.dataset.state !== instance.state) card = await refreshCard(instance.uid);
      refreshStrip(instance, card); // always: the card is fetched later than the state, and may be ahead of it
    }
    batch.value = status.finished;
    words.textContent = status.summary;
    finished = status.finished === total;
  } catch {
    words.textContent = tr("The server does not answer; asking again.");
  }
  if (!finished) setTimeout(poll, pollMs);
}

addCharts(study);
if (batch.value < total) setTimeout(poll, pollMs);
