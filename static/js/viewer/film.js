// One radiograph on one canvas: film, heatmap and boxes under one transformation. Draws what it is told, knows no server.
import { boundedZoom, clip, fitZoom, levelFor, matrixOf, scaleBar, tileOf, visiblePart } from "./geometry.js";
import { windowTable } from "./pixels.js";

const BOX = "#58a6ff";
const DRAFT = "#e6edf3";

export class Film {
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

  // ---- geometry -----------------------------------------------------------------------------------------------------
  get size() {
    return [Math.max(1, this.canvas.clientWidth), Math.max(1, this.canvas.clientHeight)];
  }

  get fit() {
    return fitZoom(this.view, this.size, this.pixels);
  }

  get zoom() {
    return this.fit * this.view.scale;
  }

  get matrix() {
    return matrixOf(this.view, this.size, this.pixels);
  }

  get visible() {
    return visiblePart(this.matrix, this.size, this.pixels);
  }

  get scaleBar() {
    return scaleBar(this.pixels.spacingMm, this.view.turns, this.size[0], this.zoom);
  }

  get greys() {
    const { low, high } = this.window;
    return [this.pixels.grey(low), this.pixels.grey(high)];
  }

  imagePoint(x, y) {
    return this.matrix.inverse().transformPoint({ x, y });
  }

  setZoom(zoom, at = this.size.map((side) => side / 2)) {
    const before = this.imagePoint(...at);
    this.view.scale = boundedZoom(zoom, this.fit) / this.fit;
    this.moveBy(this.imagePoint(...at), before);
  }

  pan(dx, dy) {
    this.moveBy(this.imagePoint(dx, dy), this.imagePoint(0, 0));
  }

  // brings the point of the image that is at `from` to where `to` is; the middle of the screen never leaves the film, so
  // that it cannot be lost
  moveBy(from, to) {
    this.view.x = clip(this.view.x + (to.x - from.x) / this.pixels.width, 0, 1);
    this.view.y = clip(this.view.y + (to.y - from.y) / this.pixels.height, 0, 1);
  }

  fitAll() {
    Object.assign(this.view, { scale: 1, x: 0.5, y: 0.5 });
  }

  // ---- drawing ------------------------------------------------------------------------------------------------------
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

  // of the film only what is visible
  drawFilm(context, ratio) {
    const { levels, bits } = this.pixels;
    const k = levelFor(this.zoom * ratio, levels.length);
    const tile = tileOf(this.visible, levels[k], k);
    if (!tile) return;
    const [low, high] = this.greys;
    const { inverted } = this.window;
    const key = JSON.stringify([k, tile, low, high, inverted]);
    if (key !== this.painted) {
      paint(levels[k], tile, windowTable(bits, low, high, inverted), this.buffer);
      this.painted = key;
    }
    context.imageSmoothingEnabled = this.zoom * ratio < 4; // closer than that, the reader wants to see the pixels
    context.drawImage(this.buffer, ...[tile.x, tile.y, tile.width, tile.height].map((side) => side * 2 ** k));
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
}

// part of a level through the table onto a canvas of the same size
function paint(level, { x, y, width, height }, table, canvas) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  for (let row = 0, to = 0; row < height; row++) {
    let from = (y + row) * level.width + x;
    for (const end = from + width; from < end; from++) out[to++] = table[level.values[from]];
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
