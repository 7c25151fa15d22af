// Radiographs as numbers: fetched once, kept for the next image, halved again and again for small views, windowed to grey.
"use strict";

(() => {
  const kept = new Map(); // uid -> promise of pixels, the last used last
  const KEEP = 6;
  const SMALL_PX = 512;

  class Pixels {
    // levels[k] has half the side of levels[k - 1]; one screen pixel never has to look at more than two of a level
    constructor(values, width, height, facts) {
      Object.assign(this, facts);
      this.width = width;
      this.height = height;
      this.levels = [{ values, width, height }];
      while (Math.max(...this.smallest()) > SMALL_PX) this.levels.push(halved(this.levels.at(-1)));
      this.measure();
    }

    smallest() {
      const { width, height } = this.levels.at(-1);
      return [width, height];
    }

    // the histogram of the smallest level: presets are parts of an image's own greys, a radiograph has no absolute ones
    measure() {
      const { values } = this.levels.at(-1);
      this.sorted = values.slice().sort();
      this.low = this.bits > 8 ? this.sorted[0] : 0;
      this.high = this.bits > 8 ? Math.max(this.sorted.at(-1), this.low + 1) : 255;
    }

    percentile(part) {
      return this.sorted[Math.min(this.sorted.length - 1, Math.floor((part / 100) * this.sorted.length))];
    }

    // where part of the range from darkest to brightest lies, and back: so that films of different depth share a window
    grey(part) {
      return this.low + part * (this.high - this.low);
    }

    part(grey) {
      return (grey - this.low) / (this.high - this.low);
    }
  }

  function halved({ values, width, height }) {
    const w = Math.max(1, Math.ceil(width / 2));
    const h = Math.max(1, Math.ceil(height / 2));
    const half = new values.constructor(w * h);
    for (let y = 0; y < h; y++) {
      const above = 2 * y * width;
      const below = Math.min(2 * y + 1, height - 1) * width;
      for (let x = 0; x < w; x++) {
        const left = 2 * x;
        const right = Math.min(left + 1, width - 1);
        half[y * w + x] = (values[above + left] + values[above + right] + values[below + left] + values[below + right] + 2) >> 2;
      }
    }
    return { values: half, width: w, height: h };
  }

  async function fetched(uid) {
    const response = await fetch(`/instances/${encodeURIComponent(uid)}/pixels`);
    if (!response.ok) throw Object.assign(new Error(`pixels ${response.status}`), { status: response.status });
    const header = (name) => response.headers.get(name);
    const wide = Number(header("X-Bits-Allocated")) > 8;
    const buffer = await response.arrayBuffer();
    const spacing = header("X-Pixel-Spacing-Mm");
    return new Pixels(
      wide ? new Uint16Array(buffer) : new Uint8Array(buffer), // both ends are little-endian
      Number(header("X-Columns")),
      Number(header("X-Rows")),
      {
        bits: wide ? 16 : 8,
        bitsStored: Number(header("X-Bits-Stored")),
        viewPosition: header("X-View-Position"),
        spacingMm: spacing ? spacing.split(",").map(Number) : null,
      },
    );
  }

  function load(uid) {
    const known = kept.get(uid) || fetched(uid);
    kept.delete(uid);
    kept.set(uid, known);
    known.catch(() => kept.delete(uid));
    for (const old of [...kept.keys()].slice(0, -KEEP)) kept.delete(old);
    return known;
  }

  // grey value -> opaque colour, as one 32-bit number a value; low and high are the window's ends
  function windowTable(bits, low, high, inverted) {
    const table = new Uint32Array(bits > 8 ? 65536 : 256);
    const slope = 255 / Math.max(high - low, 1e-6);
    for (let value = 0; value < table.length; value++) {
      let grey = Math.max(0, Math.min(255, Math.round((value - low) * slope)));
      if (inverted) grey = 255 - grey;
      table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    return table;
  }

  // part of a level through the table onto a canvas of the same size
  function paint(level, { x, y, width, height }, table, canvas) {
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    const out = new Uint32Array(image.data.buffer);
    for (let row = 0, to = 0; row < height; row++) {
      let from = (y + row) * level.width + x;
      for (const end = from + width; from < end; from++) out[to++] = table[level.values[from]];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  window.viewer.pixels = { load, windowTable, paint };
})();
