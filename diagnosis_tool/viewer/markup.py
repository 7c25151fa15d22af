"""Dash's components as plain HTML, as Dash itself draws them: the page that is there before Dash has started. Pure."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from dash import dcc
from dash.development.base_component import Component

_RENAMED: Final = {
    "className": "class",
    "htmlFor": "for",
    "tabIndex": "tabindex",
    "maxLength": "maxlength",
    "readOnly": "readonly",
}
_VOID: Final = frozenset({"img"})
_UNSEEN: Final = (dcc.Location, dcc.Interval)
_INPUT_CLASSES: Final = ("dash-input-container", "dash-input-element")


def markup(children: Any) -> str:
    """A component, text, number or a sequence of them as HTML; nothing for None.

    A dcc.Store is a JSON script named first-<its id>, a dcc.Graph the empty element that it will fill.
    """
    if children is None or isinstance(children, _UNSEEN):
        return ""
    if isinstance(children, Component):
        return _component(children)
    if isinstance(children, Iterable) and not isinstance(children, str):
        return "".join(markup(child) for child in children)
    return escape(str(children))


def _component(component: Component) -> str:
    props: dict[str, Any] = component.to_plotly_json()["props"]  # type: ignore[no-untyped-call]
    if isinstance(component, dcc.Store):
        return _data(f"first-{props['id']}", props.get("data"))
    if isinstance(component, dcc.Graph):
        return _element("div", {name: props[name] for name in ("id", "className") if name in props})
    if isinstance(component, dcc.Input):
        container, element = _INPUT_CLASSES
        return _element(
            "div", {"className": container}, _element("input", props | {"className": element}, is_void=True)
        )
    tag = "a" if isinstance(component, dcc.Link) else component._type.lower()
    return _element(tag, props, markup(props.get("children")), is_void=tag in _VOID)


def _data(id_: str, value: Any) -> str:
    # in a script only "<" could end it; JSON may write it otherwise
    text = json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(id_)}">{text}</script>'


def _element(tag: str, props: Mapping[str, Any], inner: str = "", *, is_void: bool = False) -> str:
    written = "".join(_attribute(name, value) for name, value in props.items() if name != "children")
    return f"<{tag}{written}>" if is_void else f"<{tag}{written}>{inner}</{tag}>"


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = _RENAMED.get(name, name)
    if value is True:
        return f" {name}"
    if isinstance(value, Mapping):
        value = ";".join(f"{key}:{part}" for key, part in value.items())
    return f' {name}="{escape(str(value))}"'
