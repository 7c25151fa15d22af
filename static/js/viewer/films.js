// Films as they come from the server: fetched once, the last six kept for the next image.
import { addressOf } from "./base.js";
import { Pixels } from "./pixels.js";

const KEEP = 6;
const kept = new Map(); // uid -> promise of pixels, the last used last

async function fetched(uid) {
  const response = await fetch(addressOf(uid, "pixels"));
  if (!response.ok) throw Object.assign(new Error(`pixels ${response.status}`), { status: response.status });
  const header = (name) => response.headers.get(name);
  const wide = Number(header("X-Bits-Allocated")) > 8;
  const buffer = await response.arrayBuffer();
  const values = wide ? new Uint16Array(buffer) : new Uint8Array(buffer); // both ends are little-endian
  const spacing = header("X-Pixel-Spacing-Mm");
  return new Pixels(values, Number(header("X-Columns")), Number(header("X-Rows")), {
    bits: wide ? 16 : 8,
    bitsStored: Number(header("X-Bits-Stored")),
    viewPosition: header("X-View-Position"),
    spacingMm: spacing ? spacing.split(",").map(Number) : null,
  });
}

export function load(uid) {
  const known = kept.get(uid) || fetched(uid);
  kept.delete(uid);
  kept.set(uid, known);
  known.catch(() => kept.delete(uid));
  for (const old of [...kept.keys()].slice(0, -KEEP)) kept.delete(old);
  return known;
}
