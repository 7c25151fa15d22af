// Every command of the viewer by its name: a button names it in data-do, a key stands for it here. The help lists both.
import { byId, commands } from "./base.js";
import { choose } from "./findings.js";
import { boxInTheMiddle } from "./geometry.js";
import { review } from "./review.js";
import { filmOf, viewport } from "./viewport.js";

const press = (id) => () => byId(id)?.click();

// the next finding from top to bottom, as the chart stands
function moveSelection(step) {
  const rows = [...document.querySelectorAll(".finding-row")].sort((a, b) => a.offsetTop - b.offsetTop);
  const at = rows.findIndex((row) => row.dataset.finding === viewport.selected);
  const row = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
  if (row) choose(row.dataset.finding);
}

function top(rank) {
  const name = viewport.facts && viewport.facts.top[rank - 1];
  if (!name) return;
  viewport.showHeatmap(true);
  choose(name);
}

const mayBox = () => document.querySelector('[data-tool="box"]') !== null; // it is part of the review

// a box for who has no mouse: in the middle of what is visible, then moved and sized by keys
function placeBox() {
  const film = filmOf("main");
  if (!film.pixels || !mayBox()) return;
  viewport.setTool("box");
  film.canvas.focus();
  review.addBox(boxInTheMiddle(film.visible));
}

const prior = (step) => () => {
  const { priors } = viewport.facts;
  const at = priors.indexOf(viewport.prior);
  if (priors.length) viewport.compare(priors[Math.min(priors.length - 1, Math.max(0, at + step))]);
};

Object.assign(commands, {
  next: press("go-next"), previous: press("go-previous"),
  "next-study": press("go-next-study"), "previous-study": press("go-previous-study"),
  "finding-down": () => moveSelection(1), "finding-up": () => moveSelection(-1),
  "top-1": () => top(1), "top-2": () => top(2), "top-3": () => top(3), "top-4": () => top(4),
  heatmap: () => viewport.showHeatmap(!viewport.isHeatmapOn),
  invert: viewport.invert, rotate: viewport.rotate, flip: viewport.flip, fit: viewport.fit, "one-to-one": viewport.oneToOne,
  "zoom-in": viewport.zoomIn, "zoom-out": viewport.zoomOut,
  preset: () => viewport.nextPreset(1), "preset-back": () => viewport.nextPreset(-1),
  "tool-window": () => viewport.setTool("window"), "tool-pan": () => viewport.setTool("pan"), "tool-box": () => { if (mayBox()) viewport.setTool("box"); },
  "place-box": placeBox,
  compare: viewport.toggleCompare, "prior-older": prior(1), "prior-newer": prior(-1),
  note: () => byId("note")?.focus(),
  help: () => byId("help")?.showModal(),
  "pan-left": () => viewport.pan(40, 0), "pan-right": () => viewport.pan(-40, 0),
  "pan-up": () => viewport.pan(0, 40), "pan-down": () => viewport.pan(0, -40),
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
  if (!viewport.facts || !byId("film") || document.querySelector("dialog[open]")) return;
  if (writes(event.target)) {
    if (event.key === "Escape") event.target.blur();
    if (keyed(event) !== "save") return;
  }
  if (event.target.type === "range" && /^Arrow/.test(event.key)) return; // the slider's own
  if (event.altKey && viewport.tool === "box" && ALT_BOX[event.key]) {
    event.preventDefault();
    review.nudge(...ALT_BOX[event.key], event.shiftKey);
    return;
  }
  const name = keyed(event);
  if (!name) return;
  event.preventDefault();
  commands[name]();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) commands[button.dataset.do]();
  const item = event.target.closest("[data-prior]");
  if (item) viewport.compare(item.getAttribute("aria-pressed") === "true" ? null : viewport.facts.priors.find((p) => p.uid === item.dataset.prior));
});

document.addEventListener("change", (event) => {
  if (event.target.id === "preset" && event.target.value !== "custom") viewport.setPreset(event.target.value);
});
