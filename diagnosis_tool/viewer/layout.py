"""What the viewer shows, as Dash components. Pure: values in, components out."""

from collections.abc import Set
from typing import Final

from dash import dcc, html
from dash.development.base_component import Component

from diagnosis_tool.domain import wording
from diagnosis_tool.domain.access import Permission
from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.domain.studies import Instance, InstanceState, Study
from diagnosis_tool.viewer import facts, ids, links
from diagnosis_tool.viewer.panel import panel
from diagnosis_tool.viewer.parts import aria, command, data
from diagnosis_tool.viewer.viewport import centre

POLL_MS: Final = 1500


def page(content: list[Component], *, is_final: bool = True, search: str | None = None) -> Component:
    """The frame with its content. search: the query string that the content was made for; None: it is asked for anew.

    is_final: nothing more will change by itself.
    """
    return html.Div(
        [
            # given the address's own query string it reports none, so the callback is not asked for the same again
            dcc.Location(id=ids.LOCATION, refresh=False, **({} if search is None else {"search": search})),
            dcc.Interval(id=ids.TICK, interval=POLL_MS, disabled=is_final),
            html.Div(content, id=ids.CONTENT, className="viewer-content"),
            html.Footer(wording.research_use(), className="foot"),
        ],
        className="viewer",
    )


def message_view(title: str, message: str) -> list[Component]:
    """Words instead of an image."""
    back = html.A(_("To the worklist"), href=links.WORKLIST, className="button")
    notice = html.Section([html.H1(title), html.P(message), html.P(back)], className="notice panel")
    return [_bar([]), html.Main(notice)]


def unread_view(place: facts.Place, instance: Instance, allowed: Set[Permission]) -> list[Component]:
    """An image without a prediction: queued, being read, refused or failed. Never a chart."""
    buttons: list[Component] = []
    if Permission.EXPORT in allowed:
        buttons.append(html.A(_("Download the original"), href=links.original(instance.uid), className="button"))
    if instance.state is InstanceState.FAILED and Permission.UPLOAD in allowed:
        again = command("try-again", _("Try again"), id=ids.RETRY, className="button primary", **data(uid=instance.uid))
        buttons.insert(0, again)
    notice = html.Section(
        [
            html.H1(instance.file_name),
            html.P(_chip(instance)),
            html.P(wording.outcome(instance), role="status"),
            html.P(buttons, className="dialog-buttons"),
            html.P(id=ids.RETRY_WORDS, role="status"),
        ],
        className="notice panel",
    )
    waiting = dcc.Store(id=ids.WAITING, data={"uid": instance.uid, "waits": not instance.state.is_final})
    return [
        waiting,
        dcc.Store(id=ids.RAISED),
        _study_bar(place, instance),
        html.Main([_strip(place.study, instance), notice], className="viewer-main unread"),
    ]


def prediction_view(shown: facts.Shown, wanted: str | None, allowed: Set[Permission]) -> list[Component]:
    """Film, findings, review and what belongs to them, of an image that was read. allowed: to whom looks."""
    selected = facts.first_selected(shown.prediction, wanted)
    strip = [_strip(shown.place.study, shown.instance), *([_priors(shown)] if shown.priors else [])]
    return [
        dcc.Store(id=ids.FACTS, data=facts.viewer_facts(shown)),
        dcc.Store(id=ids.SELECTED, data=selected),
        dcc.Store(id=ids.SHOWN),
        _study_bar(shown.place, shown.instance),
        html.Main(
            [html.Div(strip, className="left"), centre(shown, selected, allowed), panel(shown, selected, allowed)],
            className="viewer-main",
        ),
    ]


def _bar(children: list[Component]) -> Component:
    return html.Header([html.A("diagnosis-tool", href=links.WORKLIST, className="brand"), *children], className="bar")


def _study_bar(place: facts.Place, instance: Instance) -> Component:
    uids = [i.uid for i in place.study.instances]
    here = uids.index(instance.uid)
    moves = html.Nav(
        [
            _move(_("‹ Previous"), uids[here - 1] if here > 0 else None, "go-previous"),
            html.Span(_("%(here)s of %(total)s", here=here + 1, total=len(uids)), className="muted nowrap"),
            _move(_("Next ›"), uids[here + 1] if here + 1 < len(uids) else None, "go-next"),
        ],
        className="moves",
        **aria(label=_("Images of this study")),
    )
    back = html.A(_("Study"), href=links.study(place.study.uid), className="nowrap")
    # newer is before: as the worklist stands
    studies = html.Nav(
        [
            _move("«", place.newer, "go-previous-study", _("Previous study ([)")),
            back,
            _move("»", place.older, "go-next-study", _("Next study (])")),
        ],
        className="study-moves",
        **aria(label=_("Studies")),
    )
    name = html.H1(instance.file_name, className="bar-name", title=instance.file_name)
    patient = html.Span(patient_words(instance), className="muted nowrap bar-patient")
    keys = command("help", "?", title=_("Keys"), key="?", className="button", **aria(label=_("Keys")))
    return _bar([studies, name, patient, moves, keys])


def patient_words(instance: Instance) -> str:
    """What the file says of its patient; nothing of what it does not say."""
    age = _("%(years)s years", years=instance.age_years) if instance.age_years is not None else None
    date = f"{instance.acquired_at.astimezone():%Y-%m-%d}" if instance.acquired_at else None
    parts = (instance.patient_name or instance.patient_id, age, instance.sex, date)
    return " · ".join(part for part in parts if part)


def _move(text: str, uid: str | None, id_: str, label: str = "") -> Component:
    # a link has no aria-label in Dash: its words are hidden beside the sign
    words = [html.Span(text, **aria(hidden="true")), html.Span(label, className="visually-hidden")] if label else text
    if uid is None:
        return html.Span(words, className="button", **aria(disabled="true"))
    return dcc.Link(words, id=id_, href=links.viewer(uid), className="button", title=label or None)


def _chip(instance: Instance) -> Component:
    sign = html.Span(wording.state_shape(instance.state), **aria(hidden="true"))
    return html.Span([sign, f" {wording.state_word(instance.state)}"], className=f"chip chip-{instance.state}")


def _strip(study: Study, shown: Instance) -> Component:
    return html.Nav(
        [_strip_item(instance, instance.uid == shown.uid) for instance in study.instances],
        className="strip",
        **aria(label=_("All images of this study")),
    )


def _strip_item(instance: Instance, is_shown: bool) -> Component:
    picture = (
        html.Img(src=links.thumbnail(instance.uid), alt="") if instance.prediction else html.Span(className="blank")
    )
    words = f"{instance.position + 1} {wording.state_shape(instance.state)} {wording.state_word(instance.state)}"
    link = dcc.Link(
        [picture, html.Span(words, className="strip-line")],
        href=links.viewer(instance.uid),
        title=instance.file_name,
        className=f"strip-item chip-{instance.state}{' is-shown' if is_shown else ''}",
    )
    return html.Div(link, **(aria(current="true") if is_shown else {}))


def _priors(shown: facts.Shown) -> Component:
    items = [
        html.Button(
            [
                html.Img(src=links.thumbnail(prior.uid), alt=""),
                html.Span(facts.day(prior), className="strip-line"),
            ],
            type="button",
            className="strip-item",
            title=facts.prior_title(prior, shown),
            **aria(pressed="false", label=_("Compare with %(what)s", what=facts.prior_title(prior, shown))),
            **data(prior=prior.uid),
        )
        for prior in shown.priors
    ]
    return html.Section(
        [html.H2(_("Earlier"), className="muted"), html.Div(items, className="strip priors")],
        className="priors-box",
        **aria(label=_("Earlier images of this patient")),
    )
