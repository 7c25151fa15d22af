// A radiograph as numbers: its greys, halved again and again for small views, and the windows on them. Pure.

const SMALL_PX = 512;
export const CUSTOM = "custom";
// parts in percent of the film's own greys, for a radiograph has no absolute ones; null: by its depth
export const PRESETS = { standard: null, full: [0, 100], lungs: [1, 60], mediastinum: [35, 99.5], bones: [55, 99.9] };

export class Pixels {
  // levels[k] has half the side of levels[k - 1]; one screen pixel never has to look at more than two of a level.
  // facts: bits (8 or 16), bitsStored, viewPosition, spacingMm
  constructor(values, width, height, facts) {
    Object.assign(this, facts, { width, height, levels: [{ values, width, height }] });
    for (let last = this.levels[0]; Math.max(last.width, last.height) > SMALL_PX; last = this.levels.at(-1)) {
      this.levels.push(halved(last));
    }
    this.sorted = this.levels.at(-1).values.slice().sort();
    this.low = this.bits > 8 ? this.sorted[0] : 0;
    this.high = this.bits > 8 ? Math.max(this.sorted.at(-1), this.low + 1) : 255;
  }

  percentile(percent) {
    return this.sorted[Math.min(this.sorted.length - 1, Math.floor((percent / 100) * this.sorted.length))];
  }

  // where a part of the range from darkest to brightest lies, and back: so that films of different depth share a window
  grey(part) {
    return this.low + part * (this.high - this.low);
  }

  part(grey) {
    return (grey - this.low) / (this.high - this.low);
  }

  get leastWindow() {
    return 1 / (this.high - this.low);
  }

  // low and high of a preset in parts of the range; an 8-bit file was windowed by who made it: it is shown as it is
  presetWindow(name) {
    const percents = PRESETS[name] || (this.bits > 8 && name !== CUSTOM ? [0.5, 99.5] : null);
    const [low, high] = !percents || name === "full" ? [0, 1] : percents.map((p) => this.part(this.percentile(p)));
    return { low, high: Math.max(high, low + this.leastWindow) };
  }
}

export function halved({ values, width, height }) {
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

// grey value -> opaque colour, as one 32-bit number a value; low and high are the window's ends
export function windowTable(bits, low, high, inverted) {
  const table = new Uint32Array(bits > 8 ? 65536 : 256);
  const slope = 255 / Math.max(high - low, 1e-6);
  for (let value = 0; value < table.length; value++) {
    let grey = Math.max(0, Math.min(255, Math.round((value - low) * slope)));
    if (inverted) grey = 255 - grey;
    table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}
