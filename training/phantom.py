"""Draws chest phantoms: pictures with the parts and greys of a frontal radiograph, of nobody.

Golden inputs, tests and screenshots are made from these, so that the repository holds no patient's film.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

# Anatomy is smooth, so it is drawn at this size and enlarged; only the noise is made at the size asked for.
_DRAWN_PX: Final = 512
_Plane = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """One person that never was. Lengths are parts of the image side, (0, 0) is the upper left corner.

    heart_size: 1 is usual, from about 1.3 the heart is wider than half the chest.
    effusion: 0 none; height of fluid over the left base as part of the lung, up to about 0.6.
    nodule: 0 none; radius of a round shadow in the right mid zone, about 0.02 to 0.05.
    """

    centre_x: float = 0.5
    lung_top: float = 0.14
    lung_width: float = 0.2
    dome_right: float = 0.74
    dome_left: float = 0.77
    heart_size: float = 1.0
    effusion: float = 0.0
    nodule: float = 0.0


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A person with usual variation and none of the shadows."""
    return Anatomy(
        centre_x=0.5 + rng.uniform(-0.02, 0.02),
        lung_top=rng.uniform(0.11, 0.17),
        lung_width=rng.uniform(0.185, 0.215),
        dome_right=rng.uniform(0.71, 0.76),
        dome_left=rng.uniform(0.74, 0.79),
        heart_size=rng.uniform(0.88, 1.1),
    )


def chest_phantom(
    seed: int, *, height_px: int = 1024, width_px: int = 1024, bits: int = 8, anatomy: Anatomy | None = None
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A frontal chest phantom, bright = dense: (height_px, width_px), uint8 for 8 bits, uint16 for 9 to 16.

    The same seed and sizes give the same pixels. Without `anatomy` the seed draws one.
    Raises ValueError for bits outside 8..16 or sides under 16 px.
    """
    if not 8 <= bits <= 16 or min(height_px, width_px) < 16:
        raise ValueError(f"bits must be 8 to 16 and sides at least 16 px, not {bits}, {height_px} x {width_px}.")
    rng = np.random.default_rng(seed)
    person = anatomy or draw_anatomy(rng)
    density = Image.fromarray(_density(person, rng).astype(np.float32))
    density_HW = np.asarray(density.resize((width_px, height_px), Image.Resampling.BICUBIC), dtype=np.float64)
    density_HW = density_HW + rng.normal(0, 0.012, density_HW.shape)  # quantum noise
    _stamp_marker(density_HW)
    grey = np.rint(np.clip(density_HW, 0, 1) * ((1 << bits) - 1))
    return grey.astype(np.uint8) if bits == 8 else grey.astype(np.uint16)


def save_phantom(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Writes pixels as PNG (8 or 16 bit) or JPEG (8 bit, quality 95) by the suffix of `path`; returns `path`."""
    options = {"quality": 95} if path.suffix.lower() in {".jpg", ".jpeg"} else {}
    Image.fromarray(pixels).save(path, **options)  # type: ignore[arg-type]  # Pillow types options as Any
    return path


def _density(person: Anatomy, rng: np.random.Generator) -> _Plane:
    """(512, 512) density, about 0 (air) to 1 (bone over soft tissue)."""
    y, x = np.mgrid[0:_DRAWN_PX, 0:_DRAWN_PX] / _DRAWN_PX
    x = x - person.centre_x
    body = _body(x, y)
    lungs = _lungs(x, y, person)
    heart = _heart(x, y, person)
    midline = _edge(0.062 + 0.03 * _edge(0.3 - y, 0.08) - np.abs(x - 0.012), 0.018)
    belly = 0.16 * _edge(y - person.dome_left, 0.03) * body
    soft = 0.56 * body + 0.07 * midline + belly
    air = lungs * (1 - 0.93 * np.maximum(heart, midline))
    density = soft - 0.4 * air + 0.07 * heart * lungs + _vessels(person, rng) * air
    density -= 0.12 * _edge(0.013 - np.abs(x), 0.006) * _edge(0.34 - y, 0.03)  # trachea
    density += _shadows(x, y, person) * lungs * (1 - np.maximum(heart, midline))
    density += _bones(person, rng) * (0.35 + 0.65 * body)
    bubble = np.hypot((x - 0.17) / 0.07, (y - person.dome_left - 0.075) / 0.035)
    density -= 0.16 * _edge(1 - bubble, 0.15)  # air in the stomach, under the left dome
    mottle = _blurred(rng.normal(0, 1, density.shape), 5)
    return np.asarray(np.clip(density + 0.012 * mottle / mottle.std() * body, 0.02, 1.0))


def _edge(distance: _Plane, softness: float) -> _Plane:
    """0 outside to 1 inside, over about four times `softness`; distance is positive inside."""
    return np.asarray(0.5 * (1 + np.tanh(distance / softness / 2)))


def _body(x: _Plane, y: _Plane) -> _Plane:
    neck = 0.14 + 0.8 * np.clip(y - 0.03, 0, None) ** 0.72
    torso = np.minimum(neck, 0.49 - 0.1 * np.clip(y - 0.3, 0, None))
    thickness = np.sqrt(np.clip(1 - (np.abs(x) / 0.54) ** 2, 0, 1))  # rays at the flank cross less tissue
    return _edge(torso - np.abs(x), 0.008) * (0.35 + 0.65 * thickness)


def _lungs(x: _Plane, y: _Plane, person: Anatomy) -> _Plane:
    total = np.zeros_like(x)
    for side, dome in ((-1, person.dome_right), (1, person.dome_left)):
        depth = np.clip((y - person.lung_top) / (dome - person.lung_top), 0, 1.4)
        half_width = person.lung_width * (0.42 + 0.58 * np.clip(depth, 0, 1) ** 0.7)
        axis = 0.115 + 0.1 * np.clip(depth, 0, 1) ** 0.8
        across = (side * x - axis) / half_width
        floor = dome + 0.1 * (side * x - 0.2) ** 2 / 0.04 + 0.09 * np.clip(across - 0.35, 0, None) ** 2
        top = person.lung_top + 0.1 * across**2
        total += _edge(1 - np.abs(across), 0.05) * _edge(floor - y, 0.006) * _edge(y - top, 0.012)
    return np.asarray(np.clip(total, 0, 1))


def _heart(x: _Plane, y: _Plane, person: Anatomy) -> _Plane:
    size = person.heart_size
    centre_y = person.dome_left - 0.145 * size
    turned_x = (x - 0.045 * size) * 0.8 + (y - centre_y) * 0.6  # the apex points down and to the left side
    turned_y = -(x - 0.045 * size) * 0.6 + (y - centre_y) * 0.8
    radius = np.hypot(turned_x / (0.175 * size), turned_y / (0.122 * size))
    knob = np.hypot((x - 0.05) / 0.048, (y - 0.34) / 0.06)  # aortic arch
    waist = 0.085 - 0.25 * np.abs(y - 0.47)  # the pulmonary trunk fills the gap between arch and heart
    return np.asarray(
        np.maximum.reduce([_edge(1 - radius, 0.07), _edge(1 - knob, 0.2), _edge(waist - np.abs(x), 0.014)])
    )


def _shadows(x: _Plane, y: _Plane, person: Anatomy) -> _Plane:
    shadow = np.zeros_like(x)
    if person.effusion > 0:
        rise = np.clip((x - 0.12) / 0.3, 0, 1) ** 2 * 0.1  # the meniscus climbs towards the flank
        level = person.dome_left - person.effusion * (person.dome_left - person.lung_top) - rise
        shadow += 0.36 * _edge(y - level, 0.012) * (x > 0)
    if person.nodule > 0:
        shadow += 0.2 * _edge(1 - np.hypot(x + 0.21, y - 0.47) / person.nodule, 0.1)
    return shadow


def _blurred(plane: _Plane, radius_px: float) -> _Plane:
    # Pillow blurs 8-bit images only: enough levels for mottle and vessels once scaled to full range
    low, high = float(plane.min()), float(plane.max())
    grey = Image.fromarray(np.rint((plane - low) * (255 / max(high - low, 1e-9))).astype(np.uint8))
    return np.asarray(grey.filter(ImageFilter.GaussianBlur(radius_px)), dtype=np.float64) / 255 * (high - low) + low


def _draw(plane: _Plane, strength: float, lines: list[tuple[_Plane, float]], radius_px: float) -> None:
    """Adds lines of (points (N, 2) as parts of the side, width) to the plane as soft strokes of this strength."""
    layer = Image.new("L", (_DRAWN_PX, _DRAWN_PX))
    pen = ImageDraw.Draw(layer)
    for points, width in lines:
        dots = [tuple(p) for p in (points * _DRAWN_PX).tolist()]
        pen.line(dots, fill=255, width=max(1, round(width * _DRAWN_PX)), joint="curve")
    left, top, right, bottom = layer.getbbox() or (0, 0, 1, 1)
    reach = math.ceil(3 * radius_px) + 6  # further than Pillow's blur carries anything
    left, top = max(0, left - reach), max(0, top - reach)
    right, bottom = min(_DRAWN_PX, right + reach), min(_DRAWN_PX, bottom + reach)
    soft = layer.crop((left, top, right, bottom)).filter(ImageFilter.GaussianBlur(radius_px))
    plane[top:bottom, left:right] += strength * (np.asarray(soft, dtype=np.float64) / 255)


def _bones(person: Anatomy, rng: np.random.Generator) -> _Plane:
    along = np.linspace(0, 1, 40)
    density = np.zeros((_DRAWN_PX, _DRAWN_PX))
    tilt = rng.uniform(-0.012, 0.012)
    for side in (-1, 1):
        clavicle = np.stack([0.035 + 0.31 * along, 0.185 - 0.075 * along + 0.022 * np.sin(along * 6.0)], axis=1)
        _draw(density, 0.13, [(_placed(clavicle, side, person), 0.026)], 2.0)
        for rib in range(9):
            start = person.lung_top - 0.02 + 0.07 * rib
            reach = 0.23 + 0.17 * min(1.0, (rib + 1) / 5)
            back = np.stack([0.03 + (reach - 0.03) * np.sin(along * 1.5), start - 0.03 * np.sin(along * 3.1)], axis=1)
            back[:, 1] += (0.1 + 0.012 * rib) * along**2 + side * tilt
            front = np.stack([reach - 0.28 * along**0.9, back[-1, 1] + 0.02 + 0.13 * along**1.3], axis=1)
            _draw(density, 0.075, [(_placed(back, side, person), 0.021)], 1.6)
            _draw(density, 0.035, [(_placed(front, side, person), 0.024)], 2.4)
    for vertebra in range(15):
        top = 0.03 + 0.066 * vertebra
        body = np.array([[0.0, top], [0.0, top + 0.05]])
        _draw(density, 0.06, [(_placed(body, 1, person), 0.062)], 2.5)
    return density


def _placed(points: _Plane, side: int, person: Anatomy) -> _Plane:
    """Points given for the right of the picture, mirrored for side -1 and moved to the person's midline."""
    return np.stack([person.centre_x + side * points[:, 0], points[:, 1]], axis=1)


def _vessels(person: Anatomy, rng: np.random.Generator) -> _Plane:
    """Branches that leave the hila and thin out."""
    layers: dict[int, list[tuple[_Plane, float]]] = {0: [], 1: []}
    for side in (-1, 1):
        for _ in range(26):
            heading = rng.uniform(-1.3, 1.35)
            steps = int(rng.integers(7, 15))
            turns = heading + np.cumsum(rng.normal(0, 0.16, steps))
            path = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * 0.022, axis=0)
            path = np.concatenate([np.zeros((1, 2)), path]) + np.array([0.075, 0.44 + rng.uniform(-0.03, 0.05)])
            placed = _placed(path, side, person)
            layers[0].append((placed[: steps // 2 + 1], 0.009))
            layers[1].append((placed[steps // 2 :], 0.0045))
    hila = sum(
        np.exp(-((np.mgrid[0:_DRAWN_PX, 0:_DRAWN_PX][1] / _DRAWN_PX - person.centre_x - s * 0.095) ** 2) / 0.0016)
        for s in (-1, 1)
    )
    tall = np.exp(-((np.mgrid[0:_DRAWN_PX, 0:_DRAWN_PX][0] / _DRAWN_PX - 0.45) ** 2) / 0.006)
    density = np.zeros((_DRAWN_PX, _DRAWN_PX))
    _draw(density, 0.14, layers[0], 1.4)
    _draw(density, 0.1, layers[1], 1.2)
    return np.asarray(density + 0.12 * hila * tall)


def _stamp_marker(density_HW: _Plane) -> None:
    """A lead letter L at the upper right, where a technologist puts it on a PA film."""
    height, width = density_HW.shape
    unit = max(1, min(height, width) // 64)
    top, left = height // 20, width - width // 9
    density_HW[top : top + 4 * unit, left : left + unit] = 1.0
    density_HW[top + 3 * unit : top + 4 * unit, left : left + 3 * unit] = 1.0
