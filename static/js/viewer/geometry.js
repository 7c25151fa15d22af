// Where a film stands on its canvas. Pure. A view is kept in parts of the image, so that films of other sizes can follow
// it: scale (1 fits), x and y (what is in the middle), turns (quarters, clockwise), flipped. Sizes are CSS pixels.

const LARGEST_ZOOM = 32; // screen pixels for one of the image's
const SMALLEST_PART = 0.25; // of the size that fits
const NICE_MM = [200, 100, 50, 20, 10, 5, 2, 1];

export const clip = (value, low, high) => Math.min(high, Math.max(low, value));

// CSS pixels for one of the image's, when all of it is seen
export function fitZoom({ turns }, [width, height], image) {
  const [across, down] = turns % 2 ? [image.height, image.width] : [image.width, image.height];
  return Math.min(width / across, height / down);
}

export const boundedZoom = (zoom, fit) => clip(zoom, fit * SMALLEST_PART, Math.max(LARGEST_ZOOM, fit));

// image pixels -> CSS pixels of the canvas
export function matrixOf(view, size, image) {
  return new DOMMatrix()
    .translate(size[0] / 2, size[1] / 2)
    .scale(fitZoom(view, size, image) * view.scale)
    .rotate(90 * view.turns)
    .scale(view.flipped ? -1 : 1, 1)
    .translate(-view.x * image.width, -view.y * image.height);
}

// the part of the image that is on the screen, in image pixels
export function visiblePart(matrix, [width, height], image) {
  const back = matrix.inverse();
  const corners = [[0, 0], [width, 0], [0, height], [width, height]].map(([x, y]) => back.transformPoint({ x, y }));
  const [xs, ys] = [corners.map((c) => c.x), corners.map((c) => c.y)];
  return {
    left: clip(Math.min(...xs), 0, image.width),
    right: clip(Math.max(...xs), 0, image.width),
    top: clip(Math.min(...ys), 0, image.height),
    bottom: clip(Math.max(...ys), 0, image.height),
  };
}

// of so many levels, each half as large, the smallest that still has a pixel for each of the screen
export const levelFor = (screenZoom, levels) => clip(Math.floor(-Math.log2(screenZoom)), 0, levels - 1);

// the pixels of level k that hold a visible part, one more on each side; null where none is visible
export function tileOf({ left, right, top, bottom }, level, k) {
  const part = 2 ** k;
  const x = Math.max(0, Math.floor(left / part) - 1);
  const y = Math.max(0, Math.floor(top / part) - 1);
  const width = Math.min(level.width, Math.ceil(right / part) + 1) - x;
  const height = Math.min(level.height, Math.ceil(bottom / part) + 1) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

// a length in whole millimetres that takes at most a third of the width; null where the spacing is unknown.
// spacingMm: of rows and of columns
export function scaleBar(spacingMm, turns, width, zoom) {
  if (!spacingMm) return null;
  const mm = spacingMm[turns % 2 ? 0 : 1];
  const length = NICE_MM.find((nice) => (nice / mm) * zoom <= width / 3) || NICE_MM.at(-1);
  return { mm: length, px: (length / mm) * zoom };
}

// the box between two points, in whole pixels of the image and within it; null where nothing of it is
export function boxBetween(a, b, image) {
  const x = clip(Math.round(Math.min(a.x, b.x)), 0, image.width);
  const y = clip(Math.round(Math.min(a.y, b.y)), 0, image.height);
  const width = clip(Math.round(Math.max(a.x, b.x)), 0, image.width) - x;
  const height = clip(Math.round(Math.max(a.y, b.y)), 0, image.height) - y;
  return width > 0 && height > 0 ? { x, y, width, height } : null;
}

// a box in the middle of what is visible, a quarter as wide and as high
export function boxInTheMiddle({ left, right, top, bottom }) {
  const [width, height] = [(right - left) / 4, (bottom - top) / 4].map((side) => Math.max(1, Math.round(side)));
  return { x: Math.round((left + right - width) / 2), y: Math.round((top + bottom - height) / 2), width, height };
}

// the box moved, or its lower right corner, by steps of a hundredth of the image, and never out of it
export function nudged(box, [right, down], isSize, image) {
  const [dx, dy] = [right * Math.ceil(image.width / 100), down * Math.ceil(image.height / 100)];
  if (isSize) {
    const width = clip(box.width + dx, 1, image.width - box.x);
    return { ...box, width, height: clip(box.height + dy, 1, image.height - box.y) };
  }
  return { ...box, x: clip(box.x + dx, 0, image.width - box.width), y: clip(box.y + dy, 0, image.height - box.height) };
}
