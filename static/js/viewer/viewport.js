// The film and, beside it, a prior; which heatmap lies over them, how they are windowed, and what stands in
// their corners. All of it in the browser.
import { byId } from "./base.js";
import { load } from "./films.js";
import { Film } from "./film.js";
import { CUSTOM, PRESETS } from "./pixels.js";
import { tr } from "../texts.js";

const OPACITY = "heatmap-opacity"; // what the reader set stays while going from image to image
const images = new Map(); // address -> heatmap
const KEEP_IMAGES = 200;

export const viewport = {
  facts: null, // of the image shown: facts.ViewerFacts
  prior: null, // the prior beside it, one of facts.priors
  selected: null,
  previewed: null,
  isHeatmapOn: true,
  opacity: Number(localStorage.getItem(OPACITY) || 0.6),
  preset: "standard",
  isInverted: false,
  tool: "window",
};

const canvasOf = (name) => byId(name === "main" ? "film" : "prior-film");

// Dash makes the canvas anew whenever it likes
export function filmOf(name) {
  const canvas = canvasOf(name);
  if (canvas && !canvas.film) canvas.film = new Film(canvas);
  return canvas ? canvas.film : null;
}

const films = () => ["main", "prior"].map(filmOf).filter((film) => film && film.pixels);

function heatmapImage(address) {
  let image = images.get(address);
  if (!image) {
    image = new Image();
    image.onload = () => viewport.refresh();
    image.src = address;
    images.set(address, image);
    if (images.size > KEEP_IMAGES) images.delete(images.keys().next().value);
  }
  return image;
}

// ---- what is shown --------------------------------------------------------------------------------------------
// false when this image is open already
viewport.open = (facts) => {
  if (viewport.facts && viewport.facts.uid === facts.uid && filmOf("main").uid === facts.uid) return false;
  viewport.facts = facts;
  viewport.selected = null;
  viewport.previewed = null;
  viewport.compare(null);
  if (viewport.preset === CUSTOM) viewport.preset = "standard"; // what was set by hand was meant for that film
  put("main", facts.uid).then(() => {
    for (const uid of facts.near) load(uid).catch(() => {}); // whether it can be shown is said when it is asked for
    for (const output of Object.values(facts.outputs)) heatmapImage(output.heatmap);
  });
  return true;
};

const wordsOf = (film) => film.canvas.parentElement.querySelector(".pane-words");

// the buttons of a page that was made anew
viewport.pressButtons = () => {
  viewport.setTool(viewport.tool);
  viewport.setOpacity(viewport.opacity);
  byId("opacity").value = viewport.opacity;
  byId("heatmap").setAttribute("aria-pressed", String(viewport.isHeatmapOn));
  byId("invert").setAttribute("aria-pressed", String(viewport.isInverted));
  byId("preset").value = viewport.preset;
};

async function put(name, uid) {
  const film = filmOf(name);
  film.clear();
  film.reset();
  film.uid = uid;
  const words = wordsOf(film);
  const late = setTimeout(() => { words.textContent = tr("Loading the film …"); }, 300);
  try {
    const pixels = await load(uid);
    if (film.uid !== uid) return;
    film.window.inverted = viewport.isInverted;
    film.pixels = pixels;
    applyPreset(film);
    if (name === "prior") follow(filmOf("main"));
    words.textContent = "";
    film.show(pixels);
    viewport.refresh();
  } catch (error) {
    if (film.uid !== uid) return;
    words.textContent = error.status === 404
      ? tr("This image is no longer stored. Go back to the worklist.")
      : tr("The film could not be loaded. Reload the page.");
    return;
  } finally {
    clearTimeout(late);
  }
}

function showPriorPane() {
  const { prior } = viewport;
  byId("prior-pane").hidden = !prior;
  byId("prior-title").textContent = prior ? prior.title : "";
  for (const item of document.querySelectorAll("[data-prior]")) {
    item.setAttribute("aria-pressed", String(Boolean(prior) && item.dataset.prior === prior.uid));
  }
}

viewport.compare = (prior) => {
  viewport.prior = prior;
  showPriorPane();
  if (prior) put("prior", prior.uid);
  else filmOf("prior").clear();
};

viewport.toggleCompare = () => {
  const { priors } = viewport.facts;
  if (priors.length) viewport.compare(viewport.prior ? null : priors[0]);
};

// ---- heatmap ---------------------------------------------------------------------------------------------------
viewport.select = (name) => {
  viewport.selected = name;
  viewport.previewed = null;
  viewport.refresh();
};

viewport.preview = (name) => {
  if (viewport.previewed === name) return;
  viewport.previewed = name;
  viewport.refresh();
};

viewport.showHeatmap = (isOn) => {
  viewport.isHeatmapOn = isOn;
  byId("heatmap").setAttribute("aria-pressed", String(isOn));
  viewport.refresh();
};

viewport.setOpacity = (opacity) => {
  viewport.opacity = Number(opacity);
  localStorage.setItem(OPACITY, viewport.opacity);
  byId("viewport").style.setProperty("--overlay-opacity", viewport.opacity); // of the thumbnails
  viewport.refresh();
};

function overlayFor(outputs) {
  const output = viewport.isHeatmapOn && outputs ? outputs[viewport.previewed || viewport.selected] : null;
  return output ? { image: heatmapImage(output.heatmap), isBelow: output.below } : null;
}

function writeCaption() {
  const output = viewport.facts.outputs[viewport.previewed || viewport.selected];
  const caption = byId("caption");
  if (output && caption.textContent !== output.caption) caption.textContent = output.caption;
}

viewport.refresh = () => {
  if (!viewport.facts || !filmOf("main")) return; // a heatmap may come when the reader has gone on to an image that was refused
  writeCaption();
  for (const film of films()) {
    const outputs = film === filmOf("main") ? viewport.facts.outputs : viewport.prior && viewport.prior.outputs;
    film.overlay = overlayFor(outputs);
    film.canvas.dataset.overlay = film.overlay ? viewport.previewed || viewport.selected : "";
    film.opacity = viewport.opacity;
    film.draw();
  }
};

viewport.setBoxes = (boxes) => {
  const film = filmOf("main");
  if (!film) return;
  film.boxes = boxes;
  film.draw();
};

// ---- window ----------------------------------------------------------------------------------------------------
function applyPreset(film) {
  Object.assign(film.window, film.pixels.presetWindow(viewport.preset));
}

viewport.setPreset = (name) => {
  viewport.preset = name;
  byId("preset").value = name;
  for (const film of films()) {
    applyPreset(film);
    film.draw();
  }
};

viewport.nextPreset = (step = 1) => {
  const names = Object.keys(PRESETS);
  const at = names.indexOf(viewport.preset);
  viewport.setPreset(names[(Math.max(at, -1) + step + names.length) % names.length]);
};

// low and high in parts of the range from the darkest to the brightest grey
viewport.setWindow = (film, low, high) => {
  viewport.preset = CUSTOM;
  byId("preset").value = CUSTOM;
  Object.assign(film.window, { low, high });
  follow(film);
  drawAll();
};

viewport.invert = () => {
  viewport.isInverted = !viewport.isInverted;
  byId("invert").setAttribute("aria-pressed", String(viewport.isInverted));
  for (const film of films()) film.window.inverted = viewport.isInverted;
  drawAll();
};

// ---- view: one film leads, the other follows --------------------------------------------------------------------
function follow(leader) {
  for (const film of films()) {
    if (film === leader) continue;
    Object.assign(film.view, leader.view);
    if (viewport.preset === CUSTOM) Object.assign(film.window, leader.window);
  }
}

function drawAll() {
  for (const film of films()) film.draw();
}

viewport.change = (film, how) => {
  if (!film || !film.pixels) return;
  how(film);
  follow(film);
  drawAll();
};

const onMain = (how) => () => viewport.change(filmOf("main"), how);
viewport.fit = onMain((film) => film.fitAll());
viewport.oneToOne = onMain((film) => film.setZoom(1 / (window.devicePixelRatio || 1)));
viewport.zoomIn = onMain((film) => film.setZoom(film.zoom * 1.25));
viewport.zoomOut = onMain((film) => film.setZoom(film.zoom / 1.25));
viewport.rotate = onMain((film) => { film.view.turns = (film.view.turns + 1) % 4; });
viewport.flip = onMain((film) => { film.view.flipped = !film.view.flipped; });
viewport.pan = (dx, dy) => onMain((film) => film.pan(dx, dy))();

viewport.setTool = (tool) => {
  viewport.tool = tool;
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
  }
  for (const canvas of document.querySelectorAll(".film-canvas")) canvas.dataset.tool = tool;
};

// ---- corners ---------------------------------------------------------------------------------------------------
function turnWords({ turns, flipped }) {
  const words = [];
  if (flipped) words.push(tr("FLIPPED: left and right are exchanged"));
  if (turns) words.push(tr("ROTATED %(degrees)s°", { degrees: 90 * turns }));
  return words.join(" · ");
}

function writeCorners(film) {
  const corner = (name) => film.canvas.parentElement.querySelector(`.${name}`);
  const say = (name, text) => { if (corner(name).textContent !== text) corner(name).textContent = text; };
  const [low, high] = film.greys;
  const { viewPosition, bitsStored, width, height } = film.pixels;
  say("corner-window", `W ${Math.round(high - low)} L ${Math.round((low + high) / 2)}${film.window.inverted ? ` · ${tr("inverted")}` : ""}`);
  say("corner-zoom", `${Math.round(film.zoom * (window.devicePixelRatio || 1) * 100)} %`);
  say("corner-view", `${viewPosition === "unknown" ? tr("view not stated") : viewPosition} · ${width} × ${height} · ${bitsStored} bit`);
  say("corner-turned", turnWords(film.view));
  const bar = film.scaleBar;
  say("scale-words", bar ? `${bar.mm} mm` : tr("no scale: pixel spacing unknown"));
  corner("scale-line").style.width = `${bar ? bar.px : 0}px`;
  const { dataset } = film.canvas;
  Object.assign(dataset, { state: "shown", uid: film.uid, zoom: film.zoom.toFixed(4), low: Math.round(low), high: Math.round(high) });
}

document.addEventListener("input", (event) => {
  if (event.target.id === "opacity") viewport.setOpacity(event.target.value);
});
document.addEventListener("drawn", ({ target: { film } }) => {
  if (film && film.pixels) writeCorners(film);
  else if (film) film.canvas.dataset.state = "empty";
});
