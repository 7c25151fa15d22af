"""The viewer's help: every key and what it does. Pure."""

from dash import html
from dash.development.base_component import Component

from diagnosis_tool.domain.language import gettext as _
from diagnosis_tool.viewer.parts import aria, command


def help_dialog(*, may_review: bool) -> Component:
    """Closed until it is asked for; static/js/viewer-keys.js holds the keys."""
    groups = [html.Div([html.H3(title), _list(keys)]) for title, keys in _groups(may_review).items()]
    title = html.Div([html.H2(_("Keys")), command("close-dialog", _("Close"), key="Esc")], className="help-head")
    return html.Dialog([title, html.Div(groups, className="help-groups")], id="help", **aria(label=_("Keys")))


def _list(keys: dict[str, str]) -> Component:
    terms = [term for key, words in keys.items() for term in (html.Dt(html.Kbd(key)), html.Dd(words))]
    return html.Dl(terms)


def _groups(may_review: bool) -> dict[str, dict[str, str]]:
    drags = ("g  p  b", _("a drag sets the window, moves, draws a box"))
    if not may_review:
        drags = ("g  p", _("a drag sets the window, moves"))
    groups = {
        _("Images and findings"): {
            "← →  j k": _("next or previous image (j: next)"),
            "[ ]  J K": _("previous or next study (J: next)"),
            "↑ ↓": _("finding above or below"),
            "1 – 4": _("heatmap of a top finding"),
            "h": _("heatmap on or off"),
            "c  , .": _("compare with an earlier image; newer, older"),
            "?": _("this help"),
        },
        _("Film"): {
            "w  W": _("next or previous window"),
            "i": _("invert"),
            "+ −  f  z": _("larger, smaller, fit, 1:1"),
            "⇧ ← → ↑ ↓": _("move the film"),
            "r  x": _("rotate, flip"),
            drags[0]: drags[1],
        },
    }
    if may_review:
        groups[_("Review")] = _review_keys()
    return groups


def _review_keys() -> dict[str, str]:
    return {
        "a  d  u": _("agree, disagree, unsure about the selected finding"),
        "B": _("a box in the middle; Alt with arrows moves it, with Shift sizes it"),
        "n": _("write a note; Esc leaves it"),
        "Ctrl S": _("save"),
        "s": _("sign"),
    }
