// The pointer on the film: mouse, pen, touch, wheel. What a drag does is the chosen tool's; two fingers always zoom and pan.
import { boxBetween, clip } from "./geometry.js";
import { review } from "./review.js";
import { viewport } from "./viewport.js";

const SMALLEST_BOX = 4; // screen pixels: less is a click
const pointers = new Map(); // pointer id -> [x, y] on the canvas
let drag = null; // { film, tool, from, last }

const filmAt = (event) => {
  const canvas = event.target.closest && event.target.closest(".film-canvas");
  return canvas && canvas.film && canvas.film.pixels ? canvas.film : null;
};

function place(film, event) {
  const frame = film.canvas.getBoundingClientRect();
  return [event.clientX - frame.left, event.clientY - frame.top];
}

function toolFor(event, film) {
  if (event.button === 1 || event.shiftKey) return "pan";
  const isPrior = film.canvas.id === "prior-film";
  return viewport.tool === "box" && isPrior ? "pan" : viewport.tool;
}

document.addEventListener("pointerdown", (event) => {
  const film = filmAt(event);
  if (!film || event.button === 2) return;
  event.preventDefault();
  film.canvas.focus({ preventScroll: true });
  film.canvas.setPointerCapture(event.pointerId);
  const at = place(film, event);
  pointers.set(event.pointerId, at);
  drag = pointers.size === 1 ? { film, tool: toolFor(event, film), from: at, last: at } : { film, tool: "pinch" };
});

document.addEventListener("pointermove", (event) => {
  if (!drag || !pointers.has(event.pointerId)) return;
  const at = place(drag.film, event);
  if (drag.tool === "pinch") pinch(event.pointerId, at);
  else dragTo(at);
  pointers.set(event.pointerId, at);
});

for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, (event) => {
    if (!pointers.delete(event.pointerId) || !drag) return;
    if (drag.tool === "box") finishBox(end === "pointerup");
    drag = null; // the finger that stays begins nothing new
  });
}

function pinch(id, at) {
  const other = [...pointers].find(([key]) => key !== id);
  if (!other) return;
  const before = pointers.get(id);
  const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
  const middle = [0, 1].map((k) => (at[k] + other[1][k]) / 2);
  viewport.change(drag.film, (film) => {
    film.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
    film.setZoom((film.zoom * apart(at, other[1])) / apart(before, other[1]), middle);
  });
}

function dragTo(at) {
  const [dx, dy] = [at[0] - drag.last[0], at[1] - drag.last[1]];
  if (drag.tool === "pan") viewport.change(drag.film, (film) => film.pan(dx, dy));
  else if (drag.tool === "window") dragWindow(drag.film, dx, dy);
  else if (drag.tool === "box") review.showDrawn(boxBetween(drag.film.imagePoint(...drag.from), drag.film.imagePoint(...at), drag.film.pixels));
  drag.last = at;
}

// right widens the window, down raises its level: a whole film's width is the whole range
function dragWindow(film, dx, dy) {
  const [width, height] = film.size;
  const { low, high } = film.window;
  const least = film.pixels.leastWindow;
  const range = clip(high - low + dx / width, least, 2);
  const level = clip((low + high) / 2 + dy / height, 0, 1);
  viewport.setWindow(film, level - range / 2, level + range / 2);
}

function finishBox(isMeant) {
  const { film, from, last } = drag;
  const isLarge = Math.max(Math.abs(from[0] - last[0]), Math.abs(from[1] - last[1])) >= SMALLEST_BOX;
  const box = isMeant && isLarge ? boxBetween(film.imagePoint(...from), film.imagePoint(...last), film.pixels) : null;
  review.showDrawn(null);
  if (box) review.addBox(box);
}

document.addEventListener("wheel", (event) => {
  const film = filmAt(event);
  if (!film) return;
  event.preventDefault();
  const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY; // lines, as some mice say
  viewport.change(film, () => film.setZoom(film.zoom * Math.exp(-step * 0.0015), place(film, event)));
}, { passive: false });

document.addEventListener("dblclick", (event) => {
  if (filmAt(event)) viewport.fit();
});

document.addEventListener("mouseover", (event) => {
  const row = event.target.closest && event.target.closest("[data-finding]");
  if (viewport.facts) viewport.preview(row ? row.dataset.finding : null);
});
document.addEventListener("focusin", (event) => {
  const row = event.target.closest("[data-finding]");
  if (row && viewport.facts) viewport.preview(row.dataset.finding);
});
