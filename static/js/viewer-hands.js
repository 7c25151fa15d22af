// Hands on the film: mouse, pen, touch, wheel. What a drag does is the chosen tool's; two fingers always zoom and pan.
"use strict";

(() => {
  const { viewer } = window;
  const { stage } = viewer;
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
    return stage.tool === "box" && isPrior ? "pan" : stage.tool;
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
    stage.change(drag.film, (film) => {
      film.pan((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
      film.setZoom((film.zoom * apart(at, other[1])) / apart(before, other[1]), middle);
    });
  }

  function dragTo(at) {
    const [dx, dy] = [at[0] - drag.last[0], at[1] - drag.last[1]];
    if (drag.tool === "pan") stage.change(drag.film, (film) => film.pan(dx, dy));
    else if (drag.tool === "window") dragWindow(drag.film, dx, dy);
    else if (drag.tool === "box") viewer.review.showDrawn(boxBetween(drag.film, drag.from, at));
    drag.last = at;
  }

  // right widens the window, down raises its level: a whole film's width is the whole range
  function dragWindow(film, dx, dy) {
    const [width, height] = film.size;
    const { low, high } = film.window;
    const least = 1 / (film.pixels.high - film.pixels.low);
    const range = Math.min(2, Math.max(least, high - low + dx / width));
    const level = Math.min(1, Math.max(0, (low + high) / 2 + dy / height));
    stage.setWindow(film, level - range / 2, level + range / 2);
  }

  // in whole pixels of the image and within it; null where nothing of it is
  function boxBetween(film, from, to) {
    const [a, b] = [film.imagePoint(...from), film.imagePoint(...to)];
    const clip = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
    const x = clip(Math.min(a.x, b.x), film.pixels.width);
    const y = clip(Math.min(a.y, b.y), film.pixels.height);
    const width = clip(Math.max(a.x, b.x), film.pixels.width) - x;
    const height = clip(Math.max(a.y, b.y), film.pixels.height) - y;
    return width > 0 && height > 0 ? { x, y, width, height } : null;
  }

  function finishBox(isMeant) {
    const { film, from, last } = drag;
    const isLarge = Math.max(Math.abs(from[0] - last[0]), Math.abs(from[1] - last[1])) >= SMALLEST_BOX;
    const box = isMeant && isLarge ? boxBetween(film, from, last) : null;
    viewer.review.showDrawn(null);
    if (box) viewer.review.addBox(box);
  }

  document.addEventListener("wheel", (event) => {
    const film = filmAt(event);
    if (!film) return;
    event.preventDefault();
    const step = event.deltaMode === 1 ? event.deltaY * 16 : event.deltaY; // lines, as some mice say
    stage.change(film, () => film.setZoom(film.zoom * Math.exp(-step * 0.0015), place(film, event)));
  }, { passive: false });

  document.addEventListener("dblclick", (event) => {
    if (filmAt(event)) stage.fit();
  });

  document.addEventListener("mouseover", (event) => {
    const row = event.target.closest && event.target.closest("[data-finding]");
    if (stage.facts) stage.preview(row ? row.dataset.finding : null);
  });
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-finding]");
    if (row && stage.facts) stage.preview(row.dataset.finding);
  });
})();
