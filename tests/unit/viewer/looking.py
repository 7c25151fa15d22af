"""Looks into what Dash is given to lay out."""

import json
from collections.abc import Callable
from typing import Any

from dash.development.base_component import Component

from diagnosis_tool.domain.access import PERMISSIONS, Role
from diagnosis_tool.services.context import Context
from diagnosis_tool.viewer import callbacks, ids

Study = Callable[..., list[str]]
"""The fixture `study`."""


def content(context: Context, search: str | None, role: Role = Role.ADMIN) -> tuple[list[Component], bool]:
    return callbacks.content(context, search, PERMISSIONS[role])


def opened(context: Context, uid: str, role: Role = Role.ADMIN) -> list[Component]:
    """What is laid out for an image."""
    return content(context, f"?instance={uid}", role)[0]


def facts_of(context: Context, uid: str) -> dict[str, Any]:
    """What the scripts are told of an image."""
    told: dict[str, Any] = found(opened(context, uid))[ids.FACTS].data
    return told


def _everything(children: list[Component]) -> list[Component]:
    return [c for child in children for c in (child, *child._traverse())]


def found(children: list[Component]) -> dict[str, Component]:
    """All components that have a text id."""
    return {c.id: c for c in _everything(children) if isinstance(getattr(c, "id", None), str)}


def row_of(children: list[Component], finding: str) -> Component:
    """The row of this finding."""
    rows = [c for c in _everything(children) if "finding-row " in (getattr(c, "className", None) or "")]
    (row,) = [c for c in rows if c.to_plotly_json()["props"]["data-finding"] == finding]
    return row


def text(children: list[Component]) -> str:
    return json.dumps([child.to_plotly_json() for child in children], default=lambda c: c.to_plotly_json())
