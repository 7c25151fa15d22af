// One radiograph on one canvas: film, heatmap and boxes under one transformation. Draws what it is told, knows no server.
"use strict";

(() => {
  const { paint, windowTable } = window.viewer.pixels;
  const LARGEST_ZOOM = 32; // screen pixels for one of the image's
  const SMALLEST_PART = 0.25; // of the size that fits
  const BOX = "#58a6ff";
  const DRAFT = "#e6edf3";
  const NICE_MM = [200, 100, 50, 20, 10, 5, 2, 1];

  class Film {
    constructor(canvas) {
      this.canvas = canvas;
      this.buffer = document.createElement("canvas");
      this.pixels = null;
      this.overlay = null; // { image, isBelow }
      this.opacity = 0.6;
      this.boxes = [];
      this.reset();
      new ResizeObserver(() => this.draw()).observe(canvas);
    }

    reset() {
      this.view = { scale: 1, x: 0.5, y: 0.5, turns: 0, flipped: false };
      this.window = { low: 0, high: 1, inverted: false };
    }

    show(pixels) {
      this.pixels = pixels;
      this.painted = "";
      this.draw();
    }

    clear() {
      this.pixels = null;
      this.overlay = null;
      this.boxes = [];
      this.draw();
    }

    // ---- geometry: the view is kept in parts of the image, so that films of other sizes can follow it ------------
    get size() {
      return [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
    }

    get fit() {
      const [width, height] = this.size;
      const across = this.view.turns % 2 ? this.pixels.height : this.pixels.width;
      const down = this.view.turns % 2 ? this.pixels.width : this.pixels.height;
      return Math.min(width / across, height / down);
    }

    get zoom() {
      return this.fit * this.view.scale;
    }

    // image pixels -> CSS pixels of the canvas
    get matrix() {
      const [width, height] = this.size;
      return new DOMMatrix()
        .translate(width / 2, height / 2)
        .scale(this.zoom)
        .rotate(90 * this.view.turns)
        .scale(this.view.flipped ? -1 : 1, 1)
        .translate(-this.view.x * this.pixels.width, -this.view.y * this.pixels.height);
    }

    imagePoint(x, y) {
      return this.matrix.inverse().transformPoint({ x, y });
    }

    setZoom(zoom, at = this.size.map((side) => side / 2)) {
      const before = this.imagePoint(...at);
      const bounded = Math.min(Math.max(zoom, this.fit * SMALLEST_PART), Math.max(LARGEST_ZOOM, this.fit));
      this.view.scale = bounded / this.fit;
      const after = this.imagePoint(...at);
      this.moveTo(this.view.x + (before.x - after.x) / this.pixels.width, this.view.y + (before.y - after.y) / this.pixels.height);
    }

    pan(dx, dy) {
      const from = this.imagePoint(0, 0);
      const to = this.imagePoint(dx, dy);
      this.moveTo(this.view.x - (to.x - from.x) / this.pixels.width, this.view.y - (to.y - from.y) / this.pixels.height);
    }

    // the middle of the screen never leaves the film: it cannot be lost
    moveTo(x, y) {
      this.view.x = Math.min(1, Math.max(0, x));
      this.view.y = Math.min(1, Math.max(0, y));
    }

    fitAll() {
      Object.assign(this.view, { scale: 1, x: 0.5, y: 0.5 });
    }

    // the part of the image that is on the screen, in image pixels
    get visible() {
      const [width, height] = this.size;
      const corners = [[0, 0], [width, 0], [0, height], [width, height]].map((corner) => this.imagePoint(...corner));
      const clip = (value, most) => Math.min(most, Math.max(0, value));
      return {
        left: clip(Math.min(...corners.map((c) => c.x)), this.pixels.width),
        right: clip(Math.max(...corners.map((c) => c.x)), this.pixels.width),
        top: clip(Math.min(...corners.map((c) => c.y)), this.pixels.height),
        bottom: clip(Math.max(...corners.map((c) => c.y)), this.pixels.height),
      };
    }

    get greys() {
      const { low, high } = this.window;
      return [this.pixels.grey(low), this.pixels.grey(high)];
    }

    // ---- drawing ----------------------------------------------------------------------------------------------
    draw() {
      const [width, height] = this.size;
      const ratio = window.devicePixelRatio || 1;
      const wide = Math.round(width * ratio);
      const high = Math.round(height * ratio);
      if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
      const context = this.canvas.getContext("2d");
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, wide, high);
      if (this.pixels) {
        context.setTransform(new DOMMatrix().scale(ratio).multiply(this.matrix));
        this.drawFilm(context, ratio);
        this.drawOverlay(context);
        context.setTransform(ratio, 0, 0, ratio, 0, 0);
        for (const box of this.boxes) this.drawBox(context, box);
      }
      this.canvas.dispatchEvent(new CustomEvent("drawn", { bubbles: true }));
    }

    // the smallest level that still has a pixel for each of the screen, and of it only what is visible
    drawFilm(context, ratio) {
      const { levels, bits } = this.pixels;
      let k = 0;
      while (k + 1 < levels.length && this.zoom * ratio * 2 ** (k + 1) <= 1) k++;
      const level = levels[k];
      const part = 2 ** k;
      const { left, right, top, bottom } = this.visible;
      const x = Math.max(0, Math.floor(left / part) - 1);
      const y = Math.max(0, Math.floor(top / part) - 1);
      const width = Math.min(level.width, Math.ceil(right / part) + 1) - x;
      const height = Math.min(level.height, Math.ceil(bottom / part) + 1) - y;
      if (width <= 0 || height <= 0) return;
      const [low, high] = this.greys;
      const key = [k, x, y, width, height, low, high, this.window.inverted].join();
      if (key !== this.painted) {
        paint(level, { x, y, width, height }, windowTable(bits, low, high, this.window.inverted), this.buffer);
        this.painted = key;
      }
      context.imageSmoothingEnabled = this.zoom * ratio < 4; // closer than that, the reader wants to see the pixels
      context.drawImage(this.buffer, x * part, y * part, width * part, height * part);
    }

    drawOverlay(context) {
      if (!this.overlay || !this.overlay.image.complete || !this.overlay.image.naturalWidth) return;
      context.save();
      context.imageSmoothingEnabled = true;
      context.globalAlpha = this.opacity * (this.overlay.isBelow ? 0.4 : 1);
      if (this.overlay.isBelow) context.filter = "saturate(0.4)";
      context.drawImage(this.overlay.image, 0, 0, this.pixels.width, this.pixels.height);
      context.restore();
    }

    drawBox(context, box) {
      const matrix = this.matrix;
      const a = matrix.transformPoint({ x: box.x, y: box.y });
      const b = matrix.transformPoint({ x: box.x + box.width, y: box.y + box.height });
      const [left, top] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
      context.lineWidth = 2;
      context.strokeStyle = box.isDraft ? DRAFT : BOX;
      context.setLineDash(box.isDraft ? [6, 4] : []);
      context.strokeRect(left, top, Math.abs(a.x - b.x), Math.abs(a.y - b.y));
      context.font = "600 12px system-ui, sans-serif";
      context.lineWidth = 3;
      context.setLineDash([]);
      context.strokeStyle = "#000";
      context.strokeText(box.label, left + 4, Math.max(14, top - 5));
      context.fillStyle = box.isDraft ? DRAFT : BOX;
      context.fillText(box.label, left + 4, Math.max(14, top - 5));
    }

    // a length in whole millimetres that takes at most a third of the film's width; null where the spacing is unknown
    get scaleBar() {
      if (!this.pixels.spacingMm) return null;
      const [row, column] = this.pixels.spacingMm;
      const mm = this.view.turns % 2 ? row : column;
      const room = this.size[0] / 3;
      const length = NICE_MM.find((nice) => (nice / mm) * this.zoom <= room) || NICE_MM.at(-1);
      return { mm: length, px: (length / mm) * this.zoom };
    }
  }

  window.viewer.Film = Film;
})();
