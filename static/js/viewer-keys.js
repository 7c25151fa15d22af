// Every command of the viewer by its name: a button names it in data-do, a key stands for it here. The help lists both.
"use strict";

(() => {
  const { viewer } = window;
  const { stage } = viewer;
  const byId = (id) => document.getElementById(id);
  const press = (id) => () => byId(id)?.click();

  // the next finding from top to bottom, as the chart stands
  function moveSelection(step) {
    const rows = [...document.querySelectorAll(".finding-row")].sort((a, b) => a.offsetTop - b.offsetTop);
    const at = rows.findIndex((row) => row.dataset.finding === stage.selected);
    const row = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (row) viewer.choose(row.dataset.finding);
  }

  function top(rank) {
    const name = stage.facts && stage.facts.top[rank - 1];
    if (!name) return;
    stage.showHeatmap(true);
    viewer.choose(name);
  }

  const mayBox = () => document.querySelector('[data-tool="box"]') !== null; // it is part of the review

  // a box for who has no mouse: in the middle of what is visible, then moved and sized by keys
  function boxInTheMiddle() {
    const film = stage.filmOf("main");
    if (!film.pixels || !mayBox()) return;
    stage.setTool("box");
    film.canvas.focus();
    const { left, right, top: above, bottom } = film.visible;
    const [width, height] = [(right - left) / 4, (bottom - above) / 4].map((side) => Math.max(1, Math.round(side)));
    viewer.review.addBox({ x: Math.round((left + right - width) / 2), y: Math.round((above + bottom - height) / 2), width, height });
  }

  const prior = (step) => () => {
    const { priors } = stage.facts;
    const at = priors.indexOf(stage.prior);
    if (priors.length) stage.compare(priors[Math.min(priors.length - 1, Math.max(0, at + step))]);
  };

  Object.assign(viewer.commands, {
    next: press("go-next"), previous: press("go-previous"),
    "next-study": press("go-next-study"), "previous-study": press("go-previous-study"),
    "finding-down": () => moveSelection(1), "finding-up": () => moveSelection(-1),
    "top-1": () => top(1), "top-2": () => top(2), "top-3": () => top(3), "top-4": () => top(4),
    heatmap: () => stage.showHeatmap(!stage.isHeatmapOn),
    invert: stage.invert, rotate: stage.rotate, flip: stage.flip, fit: stage.fit, "one-to-one": stage.oneToOne,
    "zoom-in": stage.zoomIn, "zoom-out": stage.zoomOut,
    preset: () => stage.nextPreset(1), "preset-back": () => stage.nextPreset(-1),
    "tool-window": () => stage.setTool("window"), "tool-pan": () => stage.setTool("pan"), "tool-box": () => { if (mayBox()) stage.setTool("box"); },
    "place-box": boxInTheMiddle,
    compare: stage.toggleCompare, "prior-older": prior(1), "prior-newer": prior(-1),
    note: () => byId("note")?.focus(),
    help: () => byId("help")?.showModal(),
    "pan-left": () => stage.pan(40, 0), "pan-right": () => stage.pan(-40, 0),
    "pan-up": () => stage.pan(0, 40), "pan-down": () => stage.pan(0, -40),
  });

  const KEYS = {
    ArrowRight: "next", j: "next", ArrowLeft: "previous", k: "previous",
    J: "next-study", K: "previous-study", "]": "next-study", "[": "previous-study",
    ArrowDown: "finding-down", ArrowUp: "finding-up",
    1: "top-1", 2: "top-2", 3: "top-3", 4: "top-4",
    h: "heatmap", i: "invert", r: "rotate", x: "flip", f: "fit", z: "one-to-one", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out",
    w: "preset", W: "preset-back", b: "tool-box", B: "place-box", p: "tool-pan", g: "tool-window",
    c: "compare", ",": "prior-newer", ".": "prior-older",
    a: "agree", d: "disagree", u: "unsure", n: "note", s: "sign", "?": "help",
  };
  const SHIFTED = { ArrowRight: "pan-right", ArrowLeft: "pan-left", ArrowDown: "pan-down", ArrowUp: "pan-up" };
  const ALT_BOX = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

  function keyed(event) {
    if (event.ctrlKey || event.metaKey) return event.key === "s" ? "save" : null;
    if (event.altKey) return null;
    if (event.shiftKey && SHIFTED[event.key]) return SHIFTED[event.key];
    return Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
  }

  const writes = (target) => target.closest("textarea, select, input:not([type=range])");

  document.addEventListener("keydown", (event) => {
    if (!stage.facts || !byId("film") || document.querySelector("dialog[open]")) return;
    if (writes(event.target)) {
      if (event.key === "Escape") event.target.blur();
      if (keyed(event) !== "save") return;
    }
    if (event.target.type === "range" && /^Arrow/.test(event.key)) return; // the slider's own
    if (event.altKey && stage.tool === "box" && ALT_BOX[event.key]) {
      event.preventDefault();
      viewer.review.nudge(...ALT_BOX[event.key], event.shiftKey);
      return;
    }
    const name = keyed(event);
    if (!name) return;
    event.preventDefault();
    viewer.commands[name]();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) viewer.commands[button.dataset.do]();
    const item = event.target.closest("[data-prior]");
    if (item) stage.compare(item.getAttribute("aria-pressed") === "true" ? null : stage.facts.priors.find((p) => p.uid === item.dataset.prior));
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "preset" && event.target.value !== "custom") stage.setPreset(event.target.value);
  });
})();
