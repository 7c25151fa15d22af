"""Small pieces that the viewer's components are made of. Pure."""

from typing import Any

from dash import html
from dash.development.base_component import Component


def aria(**values: str) -> Any:  # Dash's types know only the names that are Python words
    """Attributes like aria-label."""
    return {f"aria-{name}": value for name, value in values.items()}


def data(**values: str) -> Any:
    """Attributes like data-do, which the scripts read; an underscore stands for a hyphen."""
    return {f"data-{name.replace('_', '-')}": value for name, value in values.items()}


def command(name: str, text: str, *, title: str = "", key: str = "", **more: Any) -> Component:
    """A button for a command of static/js/viewer/keys.js. key: what does the same, told in the tooltip."""
    told = f"{title or text} ({key})" if key else title
    more.setdefault("className", "button small")
    return html.Button(text, type="button", title=told, **data(do=name), **more)


def toggle(name: str, text: str, *, is_on: bool = False, **more: Any) -> Component:
    """A command's button that is pressed or not."""
    return command(name, text, **more, **aria(pressed=str(is_on).lower()))


def segments(name: str, label: str, options: dict[str, str], value: str) -> Component:
    """Buttons of which one is pressed; each says in data-`name` what it stands for."""
    buttons: list[Component] = [
        html.Button(text, type="button", **aria(pressed=str(key == value).lower()), **data(**{name: key}))
        for key, text in options.items()
    ]
    return html.Div(buttons, role="group", className="segmented", **aria(label=label))
