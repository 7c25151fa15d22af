"""The right side of the viewer: the findings, each a row over its bar, and the reader's review. Pure."""

from collections.abc import Set
from typing import Final

from dash import html
from dash.development.base_component import Component

from diagnosis_tool.cxr.types import PredictedOutput
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.bars import Bar, Order, bars, height_of, places
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.reviews import vocabulary
from diagnosis_tool.domain.tiers import tier_shape
from diagnosis_tool.viewer import facts, links
from diagnosis_tool.viewer.parts import aria, command, data, segments

_VERDICTS: Final = ("agree", "disagree", "unsure")


def panel(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    """Findings and review; who may not review sees what others wrote."""
    review = _review(shown) if Permission.REVIEW in allowed else _review_to_read()
    return html.Div([_findings(shown, selected, allowed), review], className="side")


def _findings(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    orders = {Order.ANATOMICAL.value: _("Anatomical"), Order.PROBABILITY.value: _("By probability")}
    order = segments("order", _("Order of the findings"), orders, Order.ANATOMICAL.value)
    drawn = bars(shown.prediction, Order.ANATOMICAL, shown.screening)
    place = places(drawn)
    rows = [_row(shown, bar, place[bar.output.name]) for bar in drawn]
    return html.Section(
        [
            html.Div([html.H2(_("Findings")), order], className="findings-head"),
            html.P(wording.prediction_outcome(shown.prediction), className="visually-hidden"),
            _heads(shown),
            html.Div([_axis(), *rows], className="finding-rows", style={"--row": _part(1 / height_of(drawn))}),
            _foot(shown, selected, allowed),
        ],
        className="findings panel",
        **aria(label=_("Findings")),
    )


def _heads(shown: facts.Shown) -> Component:
    tick = _("tick: operating point · hatched: unsure") if shown.screening else _("white tick: operating point")
    words = [tick, _("prob."), _("band"), _("AUC (95%)") if shown.auc else ""]
    return html.Div([html.Span(word) for word in words], className="row-heads muted", **aria(hidden="true"))


def _row(shown: facts.Shown, bar: Bar, place: float) -> Component:
    texts = [
        html.Span(bar.label, className="row-name"),
        _bar(bar),
        html.Span(bar.number, className="row-number"),
        html.Span(_tier_words(bar), className="row-tier"),
        html.Span(_auc_words(shown, bar.output.name), className="row-auc"),
    ]
    return html.Button(
        texts,
        type="button",
        className=f"finding-row tier-{bar.tier or 'none'}",
        style={"top": _part(place)},
        title=_tooltip(shown, bar.output),
        **aria(pressed="false", label=_spoken(shown, bar)),
        **data(finding=bar.output.name),
    )


def _axis() -> Component:
    """The middle of the scale, behind all bars."""
    return html.Div(html.Span("0.5"), className="findings-axis", **aria(hidden="true"))


def _bar(bar: Bar) -> Component:
    """Probability, the hatched zone and the operating point on a scale from 0 to 1."""
    parts: list[Component] = [html.I(className="value", style={"width": _part(bar.output.probability)})]
    if bar.unsure is not None:
        low, high = bar.unsure
        parts.append(html.I(className="unsure", style={"left": _part(low), "width": _part(high - low)}))
    if bar.output.threshold is not None:
        parts.append(html.I(className="tick", style={"left": _part(bar.output.threshold)}))
    return html.Span(parts, className=f"row-bar row-bar-{bar.output.kind}")


def _part(value: float) -> str:
    return f"{100 * value:.4f}%"


def _tier_words(bar: Bar) -> str:
    if bar.tier is None:
        return "" if bar.is_absence else _("no op. point")
    return f"{tier_shape(bar.tier)} {wording.tier_word(bar.tier)}"


def _auc_words(shown: facts.Shown, name: str) -> str:
    auc = shown.auc.get(name)
    # without the leading nought the column is narrow enough to stand beside the bar
    return f"{_short(auc.value)} ({_short(auc.low)}–{_short(auc.high)})" if auc else ""


def _short(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _tooltip(shown: facts.Shown, output: PredictedOutput) -> str:
    """Four digits."""
    lines = [
        _("%(finding)s, probability %(p)s", finding=wording.finding_name(output.name), p=f"{output.probability:.4f}")
    ]
    if output.threshold is None:
        lines.append(_("no operating point"))
    else:
        lines.append(_("operating point %(threshold)s", threshold=f"{output.threshold:.4f}"))
    if (screening := shown.screening.get(output.name)) is not None:
        lines.append(_("nine of ten positives are above %(threshold)s", threshold=f"{screening:.4f}"))
    if auc := shown.auc.get(output.name):
        lines.append(_("AUC %(value)s (95%% interval %(low)s to %(high)s)", **_interval(auc.value, auc.low, auc.high)))
    return "\n".join(lines)


def _interval(value: float, low: float, high: float) -> dict[str, str]:
    return {"value": f"{value:.3f}", "low": f"{low:.3f}", "high": f"{high:.3f}"}


def _spoken(shown: facts.Shown, bar: Bar) -> str:
    words = [wording.output_sentence(bar.output)]
    if bar.tier is not None:
        words.append(wording.tier_word(bar.tier))
    if auc := _auc_words(shown, bar.output.name):
        words.append(f"AUC {auc}")
    return ", ".join(words)


def _foot(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    uid = shown.instance.uid
    original = html.A(_("Original"), href=links.original(uid), className="button small", download="")
    saves = [
        html.Span(_("Save"), className="muted"),
        *([original] if Permission.EXPORT in allowed else []),
        html.A(
            _("Heatmap"),
            id="save-heatmap",
            href=links.heatmap_blend(uid, selected),
            className="button small",
            download="",
        ),
        command("save-chart", _("Chart")),
        html.A(_("Report"), href=links.report(uid), className="button small"),
    ]
    told = facts.model_facts(shown.instance, shown.prediction)
    model = html.A(told[0], href=links.model(told[0]), className="model-line", title="\n".join(told))
    return html.Div([*saves, model], className="downloads")


def _review(shown: facts.Shown) -> Component:
    return html.Section(
        [
            _review_head(),
            html.Div([html.Strong(id="verdict-of"), _verdicts()], className="verdict-line"),
            html.Div([_vocabulary(shown), html.Ul(id="review-items")], className="added-line"),
            html.Textarea(id="note", rows=2, maxLength=10_000, placeholder=_("Note (n)"), **aria(label=_("Note"))),
            html.Div(
                [
                    command("save", _("Save"), key="Ctrl S"),
                    command("sign", _("Sign"), key="s", className="button small primary"),
                    html.Span(id="review-words", role="status"),
                ],
                className="review-foot",
            ),
        ],
        id="review",
        className="review panel",
        **aria(label=_("Review")),
    )


def _review_to_read() -> Component:
    # the script finds the same places and fills them, and takes nothing in
    return html.Section(
        [
            _review_head(),
            html.Ul(id="review-items"),
            html.Textarea(id="note", rows=2, readOnly="readOnly", **aria(label=_("Note"))),
            html.Span(id="review-words", role="status"),
        ],
        id="review",
        className="review panel",
        **aria(label=_("Review")),
        **data(read_only="true"),
    )


def _review_head() -> Component:
    return html.Div(
        [html.H2(_("Review")), html.Span(id="review-state", className="muted"), _history()], className="review-head"
    )


def _verdicts() -> Component:
    words = {"agree": _("✓ Agree"), "disagree": _("✗ Disagree"), "unsure": _("? Unsure")}
    buttons = [
        html.Button(
            words[name],
            type="button",
            title=f"{words[name]} ({name[0]})",
            **aria(pressed="false"),
            **data(verdict_choice=name),
        )
        for name in _VERDICTS
    ]
    return html.Div(
        buttons, role="group", className="segmented", **aria(label=_("Your verdict on the selected finding"))
    )


def _vocabulary(shown: facts.Shown) -> Component:
    options = [html.Option(_("Add a finding …"), value="")]
    options += [html.Option(wording.finding_name(name), value=name) for name in vocabulary(shown.prediction)]
    select = html.Select(options, id="add-finding", **aria(label=_("Add a finding")))
    return html.Span([select, command("add-finding", _("Add"))], className="add")


def _history() -> Component:
    return html.Details(
        [html.Summary(_("History")), html.Ol(id="history")], id="history-box", className="history", hidden=True
    )
