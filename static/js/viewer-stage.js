// The stage: the film and, beside it, a prior; which heatmap lies over them, how they are windowed, and what stands in
// their corners. All of it in the browser.
"use strict";

(() => {
  const { viewer } = window;
  const { load } = viewer.pixels;
  const PRESETS = { standard: null, full: [0, 100], lungs: [1, 60], mediastinum: [35, 99.5], bones: [55, 99.9] };
  const CUSTOM = "custom";
  const OPACITY = "heatmap-opacity"; // what the reader set stays while going from image to image
  const images = new Map(); // address -> heatmap
  const KEEP_IMAGES = 200;

  const stage = {
    facts: null, // of the image shown: facts.ReadingFacts
    prior: null, // the prior beside it, one of facts.priors
    selected: null,
    previewed: null,
    isHeatmapOn: true,
    opacity: Number(localStorage.getItem(OPACITY) || 0.6),
    preset: "standard",
    isInverted: false,
    tool: "window",
  };

  const byId = (id) => document.getElementById(id);
  const canvasOf = (name) => byId(name === "main" ? "film" : "prior-film");

  // Dash makes the canvas anew whenever it likes
  function filmOf(name) {
    const canvas = canvasOf(name);
    if (canvas && !canvas.film) canvas.film = new viewer.Film(canvas);
    return canvas ? canvas.film : null;
  }

  const films = () => ["main", "prior"].map(filmOf).filter((film) => film && film.pixels);

  function heatmapImage(address) {
    let image = images.get(address);
    if (!image) {
      image = new Image();
      image.onload = () => stage.refresh();
      image.src = address;
      images.set(address, image);
      if (images.size > KEEP_IMAGES) images.delete(images.keys().next().value);
    }
    return image;
  }

  // ---- what is shown --------------------------------------------------------------------------------------------
  // false when this image is open already
  stage.open = (facts) => {
    if (stage.facts && stage.facts.uid === facts.uid && filmOf("main").uid === facts.uid) return false;
    stage.facts = facts;
    stage.selected = null;
    stage.previewed = null;
    stage.compare(null);
    if (stage.preset === CUSTOM) stage.preset = "standard"; // what was set by hand was meant for that film
    put("main", facts.uid).then(() => {
      for (const uid of facts.near) load(uid).catch(() => {}); // whether it can be shown is said when it is asked for
      for (const output of Object.values(facts.outputs)) heatmapImage(output.heatmap);
    });
    return true;
  };

  const wordsOf = (film) => film.canvas.parentElement.querySelector(".pane-words");

  // the buttons of a page that was made anew
  stage.pressButtons = () => {
    stage.setTool(stage.tool);
    stage.setOpacity(stage.opacity);
    byId("opacity").value = stage.opacity;
    byId("heatmap").setAttribute("aria-pressed", String(stage.isHeatmapOn));
    byId("invert").setAttribute("aria-pressed", String(stage.isInverted));
    byId("preset").value = stage.preset;
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
      film.window.inverted = stage.isInverted;
      film.pixels = pixels;
      applyPreset(film);
      if (name === "prior") follow(filmOf("main"));
      words.textContent = "";
      film.show(pixels);
      stage.refresh();
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
    const { prior } = stage;
    byId("prior-pane").hidden = !prior;
    byId("prior-title").textContent = prior ? prior.title : "";
    for (const item of document.querySelectorAll("[data-prior]")) {
      item.setAttribute("aria-pressed", String(Boolean(prior) && item.dataset.prior === prior.uid));
    }
  }

  stage.compare = (prior) => {
    stage.prior = prior;
    showPriorPane();
    if (prior) put("prior", prior.uid);
    else filmOf("prior").clear();
  };

  stage.toggleCompare = () => {
    const { priors } = stage.facts;
    if (priors.length) stage.compare(stage.prior ? null : priors[0]);
  };

  // ---- heatmap ---------------------------------------------------------------------------------------------------
  stage.select = (name) => {
    stage.selected = name;
    stage.previewed = null;
    stage.refresh();
  };

  stage.preview = (name) => {
    if (stage.previewed === name) return;
    stage.previewed = name;
    stage.refresh();
  };

  stage.showHeatmap = (isOn) => {
    stage.isHeatmapOn = isOn;
    byId("heatmap").setAttribute("aria-pressed", String(isOn));
    stage.refresh();
  };

  stage.setOpacity = (opacity) => {
    stage.opacity = Number(opacity);
    localStorage.setItem(OPACITY, stage.opacity);
    byId("stage").style.setProperty("--overlay-opacity", stage.opacity); // of the thumbnails
    stage.refresh();
  };

  function overlayFor(outputs) {
    const output = stage.isHeatmapOn && outputs ? outputs[stage.previewed || stage.selected] : null;
    return output ? { image: heatmapImage(output.heatmap), isBelow: output.below } : null;
  }

  function writeCaption() {
    const output = stage.facts.outputs[stage.previewed || stage.selected];
    const caption = byId("caption");
    if (output && caption.textContent !== output.caption) caption.textContent = output.caption;
  }

  stage.refresh = () => {
    if (!stage.facts || !filmOf("main")) return; // a heatmap may come when the reader has gone on to an image that was refused
    writeCaption();
    for (const film of films()) {
      const outputs = film === filmOf("main") ? stage.facts.outputs : stage.prior && stage.prior.outputs;
      film.overlay = overlayFor(outputs);
      film.canvas.dataset.overlay = film.overlay ? stage.previewed || stage.selected : "";
      film.opacity = stage.opacity;
      film.draw();
    }
  };

  stage.setBoxes = (boxes) => {
    const film = filmOf("main");
    if (!film) return;
    film.boxes = boxes;
    film.draw();
  };

  // ---- window ----------------------------------------------------------------------------------------------------
  function applyPreset(film) {
    const { pixels } = film;
    const percentiles = PRESETS[stage.preset] || (pixels.bits > 8 && stage.preset !== CUSTOM ? [0.5, 99.5] : null);
    const ends = percentiles ? percentiles.map((part) => pixels.part(pixels.percentile(part))) : [0, 1];
    // an 8-bit file was windowed by who made it: it is shown as it is unless asked otherwise
    const [low, high] = stage.preset === "full" ? [0, 1] : ends;
    Object.assign(film.window, { low, high: Math.max(high, low + 1 / (pixels.high - pixels.low)) });
  }

  stage.setPreset = (name) => {
    stage.preset = name;
    byId("preset").value = name;
    for (const film of films()) {
      applyPreset(film);
      film.draw();
    }
  };

  stage.nextPreset = (step = 1) => {
    const names = Object.keys(PRESETS);
    const at = names.indexOf(stage.preset);
    stage.setPreset(names[(Math.max(at, -1) + step + names.length) % names.length]);
  };

  // low and high in parts of the range from the darkest to the brightest grey
  stage.setWindow = (film, low, high) => {
    stage.preset = CUSTOM;
    byId("preset").value = CUSTOM;
    Object.assign(film.window, { low, high });
    follow(film);
    drawAll();
  };

  stage.invert = () => {
    stage.isInverted = !stage.isInverted;
    byId("invert").setAttribute("aria-pressed", String(stage.isInverted));
    for (const film of films()) film.window.inverted = stage.isInverted;
    drawAll();
  };

  // ---- view: one film leads, the other follows --------------------------------------------------------------------
  function follow(leader) {
    for (const film of films()) {
      if (film === leader) continue;
      Object.assign(film.view, leader.view);
      if (stage.preset === CUSTOM) Object.assign(film.window, leader.window);
    }
  }

  function drawAll() {
    for (const film of films()) film.draw();
  }

  stage.change = (film, how) => {
    if (!film || !film.pixels) return;
    how(film);
    follow(film);
    drawAll();
  };

  const onMain = (how) => () => stage.change(filmOf("main"), how);
  stage.fit = onMain((film) => film.fitAll());
  stage.oneToOne = onMain((film) => film.setZoom(1 / (window.devicePixelRatio || 1)));
  stage.zoomIn = onMain((film) => film.setZoom(film.zoom * 1.25));
  stage.zoomOut = onMain((film) => film.setZoom(film.zoom / 1.25));
  stage.rotate = onMain((film) => { film.view.turns = (film.view.turns + 1) % 4; });
  stage.flip = onMain((film) => { film.view.flipped = !film.view.flipped; });
  stage.pan = (dx, dy) => onMain((film) => film.pan(dx, dy))();

  stage.setTool = (tool) => {
    stage.tool = tool;
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

  document.addEventListener("drawn", ({ target: { film } }) => {
    if (film && film.pixels) writeCorners(film);
    else if (film) film.canvas.dataset.state = "empty";
  });

  stage.filmOf = filmOf;
  viewer.stage = stage;
})();
