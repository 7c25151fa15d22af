"""The right side of the viewer: the findings, each a row over its bar, and the reader's review. Pure."""

from collections.abc import Set
from typing import Final

from dash import html
from dash.development.base_component import Component

from diagnosis_tool.cxr.findings import OutputKind
from diagnosis_tool.cxr.types import PredictedOutput
from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.bands import Band, band_shape
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.reviews import vocabulary
from diagnosis_tool.viewer import facts, links
from diagnosis_tool.viewer.figures import RANKS, Order, places, row_height
from diagnosis_tool.viewer.parts import aria, command, data, segments

_VERDICTS: Final = ("agree", "disagree", "unsure")


def panel(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    """Findings and review; who may not review sees what others wrote."""
    review = _review(shown) if Permission.REVIEW in allowed else _review_to_read()
    return html.Div([_findings(shown, selected, allowed), review], className="side")


def _findings(shown: facts.Shown, selected: str, allowed: Set[Permission]) -> Component:
    orders = {Order.ANATOMICAL.value: _("Anatomical"), Order.PROBABILITY.value: _("By probability")}
    order = segments("order", _("Order of the findings"), orders, Order.ANATOMICAL.value)
    prediction = shown.prediction
    place = places(prediction, Order.ANATOMICAL)
    rows = [
        _row(shown, output, place[output.name]) for output in sorted(prediction.outputs, key=lambda o: place[o.name])
    ]
    height = f"{100 * row_height(prediction):.4f}%"
    return html.Section(
        [
            html.Div([html.H2(_("Findings")), order], className="findings-head"),
            html.P(wording.prediction_outcome(prediction), className="visually-hidden"),
            _heads(shown),
            html.Div([_axis(), *rows], className="finding-rows", style={"--row": height}),
            _foot(shown, selected, allowed),
        ],
        className="findings panel",
        **aria(label=_("Findings")),
    )


def _heads(shown: facts.Shown) -> Component:
    tick = _("tick: operating point · hatched: unsure") if shown.screening else _("white tick: operating point")
    words = [tick, _("prob."), _("band"), _("AUC (95%)") if shown.auc else ""]
    return html.Div([html.Span(word) for word in words], className="row-heads muted", **aria(hidden="true"))


def _row(shown: facts.Shown, output: PredictedOutput, place: float) -> Component:
    name, band = wording.finding_name(output.name), shown.band(output)
    rank = shown.prediction.top.index(output.name) if output.name in shown.prediction.top else None
    texts = [
        html.Span(f"{name} {RANKS[rank]}" if rank is not None else name, className="row-name"),
        _bar(shown, output),
        html.Span(wording.probability(output.probability), className="row-number"),
        html.Span(_band_words(output, band), className="row-band"),
        html.Span(_auc_words(shown, output.name), className="row-auc"),
    ]
    return html.Button(
        texts,
        type="button",
        className=f"finding-row band-{band or 'none'}",
        style={"top": f"{100 * place}%"},
        title=_tooltip(shown, output),
        **aria(pressed="false", label=_spoken(shown, output, band)),
        **data(finding=output.name),
    )


def _axis() -> Component:
    """The middle of the scale, behind all bars."""
    return html.Div(html.Span("0.5"), className="findings-axis", **aria(hidden="true"))


def _bar(shown: facts.Shown, output: PredictedOutput) -> Component:
    """Probability, the hatched band and the operating point on a scale from 0 to 1."""
    parts: list[Component] = [html.I(className="value", style={"width": _part(output.probability)})]
    low, high = shown.screening.get(output.name), output.threshold
    if high is not None:
        if low is not None and low < high and output.kind is OutputKind.FINDING:
            parts.append(html.I(className="unsure", style={"left": _part(low), "width": _part(high - low)}))
        parts.append(html.I(className="tick", style={"left": _part(high)}))
    return html.Span(parts, className=f"row-bar row-bar-{output.kind}")


def _part(value: float) -> str:
    return f"{100 * value:.4f}%"


def band_word(band: Band) -> str:
    """The band in one word."""
    return {Band.POSITIVE: _("positive"), Band.UNSURE: _("unsure"), Band.NEGATIVE: _("negative")}[band]


def _band_words(output: PredictedOutput, band: Band | None) -> str:
    if band is None:
        return "" if output.kind is OutputKind.ABSENCE else _("no op. point")
    return f"{band_shape(band)} {band_word(band)}"


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


def _spoken(shown: facts.Shown, output: PredictedOutput, band: Band | None) -> str:
    words = [wording.output_sentence(output)]
    if band is not None:
        words.append(band_word(band))
    if auc := _auc_words(shown, output.name):
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
            _sign_dialog(),
            _conflict_dialog(),
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


def _sign_dialog() -> Component:
    return html.Dialog(
        [
            html.H2(_("Sign this review?")),
            html.P(_("It is stored with your name and the time. It can be amended later; this version stays.")),
            html.Div(
                [
                    command("sign-now", _("Sign"), id="sign-now", className="button primary"),
                    command("close-dialog", _("Back"), className="button"),
                ],
                className="dialog-buttons",
            ),
        ],
        id="sign-dialog",
        **aria(label=_("Sign this review?")),
    )


def _conflict_dialog() -> Component:
    columns = [
        html.Div([html.H3(_("Yours, not saved")), html.Ul(id="conflict-mine")]),
        html.Div([html.H3([_("Stored"), " · ", html.Span(id="conflict-whose")]), html.Ul(id="conflict-theirs")]),
    ]
    answers = {"both": _("Join both"), "mine": _("Save mine as the newest"), "theirs": _("Take theirs")}
    buttons = [
        html.Button(text, type="button", className="button", **data(resolve=name)) for name, text in answers.items()
    ]
    return html.Dialog(
        [
            html.H2(_("Another reader saved a review meanwhile")),
            html.P(_("Nothing is lost: what is stored stays in the history, whatever you choose.")),
            html.Div(columns, className="conflict-columns"),
            html.Div([*buttons, command("close-dialog", _("Back"), className="button")], className="dialog-buttons"),
        ],
        id="conflict-dialog",
        **aria(label=_("Another reader saved a review meanwhile")),
    )
