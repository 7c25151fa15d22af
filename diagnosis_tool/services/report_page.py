"""Draws the report's page. Millimetres from the left top corner of A4; the light theme, for paper."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from fpdf import FPDF
from PIL import Image

from diagnosis_tool.cxr.bundle import BundleMetadata
from diagnosis_tool.cxr.types import PredictedOutput, Prediction
from diagnosis_tool.domain import language, model_facts, wording
from diagnosis_tool.domain.bars import Bar
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.reviews import Review
from diagnosis_tool.domain.studies import Instance, Study
from diagnosis_tool.services.report_fonts import fonts_for

Colour = tuple[int, int, int]

TEXT: Final[Colour] = (27, 31, 36)
MUTED: Final[Colour] = (87, 96, 106)
LINE: Final[Colour] = (208, 215, 222)
ABOVE: Final[Colour] = (154, 91, 0)
BELOW: Final[Colour] = (140, 149, 159)
BOX: Final[Colour] = (88, 166, 255)

_LEFT, _RIGHT, _TOP, _BOTTOM = 12.0, 198.0, 10.0, 287.0
_FILM_W, _FILM_H = 88.0, 94.0
_FOOT: Final = _BOTTOM - 15
_CHART_LEFT: Final = 106.0
_MAPS_H: Final = 58.0
_CAPTION_H, _NOTE_H = 5.0, 5.0
_GAP: Final = 3.0
_UNLETTERED: Final = re.compile(r"[\W_]{200}")
"""fpdf2 looks from each sign and blank for the next letter by recursion; a thousand dashes are more than its stack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """All that stands on a report.

    bars: as the chart on screen has them. film: grey. maps: each finding above its operating point with film and
    heatmap in one, most probable first. metadata: of the bundle that read the image, None where it is no longer here.
    """

    study: Study
    instance: Instance
    prediction: Prediction
    predicted_at: datetime
    bars: tuple[Bar, ...]
    film: Image.Image
    maps: tuple[tuple[PredictedOutput, Image.Image], ...]
    review: Review
    metadata: BundleMetadata | None


def draw(report: ImageReport) -> bytes:
    """The page as a PDF; the same report in the same language gives the same bytes."""
    page = _Page(report)
    y = _head(page, report)
    below = max(_film(page, report, y), _chart(page, report.bars, y))
    y = page.words(_LEFT, below + _GAP, wording.prediction_outcome(report.prediction), size=10)
    for note in wording.notes(report.instance):
        y = page.words(_LEFT, y, note, size=8, colour=MUTED)
    y = _maps(page, report.maps, y + 2)
    _review(page, report.review, y + 2)
    _foot(page, report)
    return bytes(page.output())


class _Page(FPDF):
    """One page with our fonts, colours and one way to write."""

    def __init__(self, report: ImageReport) -> None:
        super().__init__("portrait", "mm", "A4")
        self.set_auto_page_break(False)
        self.set_margin(0)
        self.c_margin = 0
        self.set_creation_date(report.predicted_at)  # the time of writing would make each copy another file
        self.set_title(_("Reading of %(file)s", file=report.instance.file_name))
        self.set_lang(language.current().code)
        self.add_page()
        instance, review = report.instance, report.review
        signer = f"{review.signed_by or ''}{review.history[-1].by if review.history else ''}"
        fonts = fonts_for(f"{instance.file_name}{wording.patient(instance)}{signer}{review.opinion.note}")
        for font in fonts:
            self.add_font(font.name, "", font.file)
        self._base = fonts[0].name
        self.set_font(self._base)
        self.set_fallback_fonts([font.name for font in fonts[1:]])
        self.set_text_shaping(True)

    def line_of(self, x: float, y: float, text: str, *, size: float = 9, colour: Colour = TEXT, w: float = 0) -> float:
        """Writes one line; right-aligned within w where w is negative. Returns the y below it."""
        self._pen(size, colour)
        height = size * 0.48
        self.set_xy(x + min(w, 0), y)
        # a width also where none is needed: without, fpdf2 breaks on a line of which nothing is drawn
        self.cell(abs(w) or _RIGHT - x, height, text, align="R" if w < 0 else "L")
        return y + height

    def words(self, x: float, y: float, text: str, *, size: float = 9, colour: Colour = TEXT, w: float = 0) -> float:
        """Writes a paragraph w wide (to the right margin when 0); returns the y below it."""
        self._pen(size, colour)
        self.set_xy(x, y)
        self.multi_cell(w or _RIGHT - x, size * 0.48, text, align="L", new_x="LMARGIN", new_y="NEXT")
        return float(self.get_y())

    def lines_of(self, text: str, *, size: float) -> list[str]:
        """The text in lines as wide as the page."""
        self._pen(size, TEXT)
        lines: list[str] = []
        for paragraph in _UNLETTERED.sub(r"\g<0>\n", text).splitlines():
            found = self.multi_cell(_RIGHT - _LEFT, size * 0.48, paragraph, dry_run=True, output="LINES", align="L")
            lines += cast(list[str], found) or [""]  # what output="LINES" gives
        return lines

    def shortened(self, text: str, w: float, size: float) -> str:
        """The text, its end cut off where it is wider than w."""
        self._pen(size, TEXT)
        if self.get_string_width(text) <= w:
            return text
        while text and self.get_string_width(text + "…") > w:
            text = text[:-1]
        return text + "…"

    def rule(self, y: float) -> None:
        """A line across the page."""
        self.set_draw_color(*LINE)
        self.set_line_width(0.2)
        self.line(_LEFT, y, _RIGHT, y)

    def _pen(self, size: float, colour: Colour) -> None:
        self.set_font(self._base, size=size)
        self.set_text_color(*colour)


def _head(page: _Page, report: ImageReport) -> float:
    instance = report.instance
    page.line_of(_LEFT, _TOP, _("Chest radiograph, read by a model"), size=15)
    page.line_of(_RIGHT, _TOP + 1, wording.research_use(), size=9, colour=ABOVE, w=-90)
    page.line_of(_RIGHT, _TOP + 5.5, _("Not for clinical use."), size=9, colour=ABOVE, w=-90)
    y = _TOP + 11
    page.rule(y)
    width = _RIGHT - _LEFT
    y = page.line_of(_LEFT, y + 1.5, page.shortened(instance.file_name, width, 10), size=10)
    who = (wording.patient(instance), wording.age_and_sex(instance), instance.view_position)
    known = "  ·  ".join(part for part in who if part and part != "–")
    y = page.line_of(_LEFT, y, page.shortened(known, width, 9), size=9)
    facts = (
        _("study of %(time)s", time=f"{report.study.created_at.astimezone():%Y-%m-%d %H:%M}"),
        f"{instance.width_px} × {instance.height_px} px",
        _("read %(time)s", time=f"{report.predicted_at.astimezone():%Y-%m-%d %H:%M}"),
        f"sha256 {instance.sha256[:16]}",
    )
    return page.line_of(_LEFT, y, "  ·  ".join(facts), size=8, colour=MUTED) + _GAP


def _film(page: _Page, report: ImageReport, y: float) -> float:
    scale = min(_FILM_W / report.film.width, _FILM_H / report.film.height)
    height = report.film.height * scale
    page.image(report.film, _LEFT, y, report.film.width * scale, height, alt_text=_("Radiograph"))
    to_page = report.film.width * scale / (report.instance.width_px or 1)
    page.set_draw_color(*BOX)
    page.set_line_width(0.4)
    for box in report.review.opinion.boxes:
        left, top = _LEFT + box.x * to_page, y + box.y * to_page
        page.rect(left, top, box.width * to_page, box.height * to_page)
        name = wording.finding_name(box.finding)
        page.set_font_size(7)
        page.set_fill_color(*BOX)  # on the film itself its colour would be lost on white bone
        page.rect(left, top, page.get_string_width(name) + 1, 4, style="F")
        page.line_of(left + 0.5, top + 0.3, name, size=7)
    return y + height


def _chart(page: _Page, bars: Sequence[Bar], y: float) -> float:
    """A row an output: name, bar with the operating point as a tick, probability, on which side it lies."""
    bar_left, bar_w = _CHART_LEFT + 32, 34.0
    row = min(6.4, _FILM_H / max(len(bars), 1))
    for bar in bars:
        output, middle = bar.output, y + row / 2
        page.line_of(_CHART_LEFT, middle - 2, bar.name, size=8.5)
        page.set_fill_color(*LINE)
        page.rect(bar_left, middle - 1.3, bar_w, 2.6, style="F")
        page.set_fill_color(*(ABOVE if bar.is_positive else BELOW))
        page.rect(bar_left, middle - 1.3, bar_w * output.probability, 2.6, style="F")
        if output.threshold is not None:
            page.set_draw_color(*TEXT)
            page.set_line_width(0.4)
            x = bar_left + bar_w * output.threshold
            page.line(x, middle - 2, x, middle + 2)
        page.line_of(bar_left + bar_w + 9, middle - 2, bar.number, size=8.5, w=-9)
        side = wording.short_side(output)
        page.line_of(bar_left + bar_w + 11, middle - 2, side, size=8, colour=ABOVE if bar.is_positive else MUTED)
        y += row
    return page.words(
        _CHART_LEFT, y + 1, _("Bar: calibrated probability. Tick: operating point."), size=7.5, colour=MUTED
    )


def _maps(page: _Page, maps: Sequence[tuple[PredictedOutput, Image.Image]], y: float) -> float:
    """Film and heatmap of each finding above its operating point, as large as all of them fit."""
    if not maps:
        return y
    first = maps[0][1]
    columns, scale = max((_grid(len(maps), n, first) for n in range(1, len(maps) + 1)), key=lambda grid: grid[1])
    width, height = (_RIGHT - _LEFT + _GAP) / columns, first.height * scale + _CAPTION_H
    for k, (output, picture) in enumerate(maps):
        x, top = _LEFT + width * (k % columns), y + height * (k // columns)
        text = f"{wording.finding_name(output.name)} {wording.probability(output.probability)}"
        page.image(picture, x, top, picture.width * scale, picture.height * scale, alt_text=text)
        page.line_of(x, top + picture.height * scale + 0.5, page.shortened(text, width - 1, 8), size=8)
    return page.words(
        _LEFT,
        y + height * -(-len(maps) // columns),
        _("Heatmaps are relative, within this image and finding only. They show where the model looked, not where a "
          "finding is."),
        size=7.5,
        colour=MUTED,
    )  # fmt: skip


def _review(page: _Page, review: Review, y: float) -> None:
    """The reader's words and signature; what of a long note does not fit is left out with words that say so."""
    page.rule(y)
    y = page.line_of(_LEFT, y + 1, wording.review_state(review), size=10)
    said = " ".join(wording.opinion_sentences(review.opinion))
    if said:
        y = page.words(_LEFT, y, said, size=9)
    room = max(0, int((_FOOT - y) / (9 * 0.48)))
    lines = page.lines_of(review.opinion.note, size=9) if review.opinion.note else []
    if len(lines) > room:
        lines = [*lines[: max(0, room - 1)], _("… The note goes on in the tool.")]
    for line in lines:
        y = page.line_of(_LEFT, y, line, size=9)


def _grid(count: int, columns: int, picture: Image.Image) -> tuple[int, float]:
    """(columns, millimetres a pixel) of so many pictures in so many columns."""
    lines = -(-count // columns)
    width = (_RIGHT - _LEFT - _GAP * (columns - 1)) / columns
    height = (_MAPS_H - _NOTE_H) / lines - _CAPTION_H
    return columns, min(width / picture.width, height / picture.height)


def _foot(page: _Page, report: ImageReport) -> None:
    identity = report.prediction.identity
    known = report.metadata
    line = model_facts.one_line(known) if known else _("Model %(name)s.", name=identity.bundle)
    if known and (weak := model_facts.weaknesses(known)):
        line = f"{line} {' '.join(weak)}"
    page.rule(_FOOT)
    y = page.words(_LEFT, _FOOT + 1, line, size=8, colour=MUTED)
    how = f"{identity.bundle} · {identity.bundle_sha256[:16]} · {identity.engine} {identity.precision}"
    y = page.line_of(_LEFT, y, how, size=8, colour=MUTED)
    page.line_of(_LEFT, y, f"{wording.research_use()} {_('Not for clinical use.')}", size=8, colour=ABOVE)
