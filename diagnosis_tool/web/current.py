"""What the running app carries for its views."""

from dataclasses import replace
from typing import Final

from flask import Flask, current_app, g

from diagnosis_tool.domain.access import NO_PROJECTS
from diagnosis_tool.domain.audit import Trail
from diagnosis_tool.services.context import Context

_KEY: Final = "diagnosis_tool.context"


def attach_context(app: Flask, context: Context) -> None:
    """Makes the context reachable from the app's views."""
    app.extensions[_KEY] = context


def current_context() -> Context:
    """The context as who asks has it: with the studies of their projects; without a sign-in there is none at all."""
    projects = g.get("projects", NO_PROJECTS)
    return replace(shared_context(), projects=projects, trail=current_trail(), row=g.get("audit_row"))


def current_trail() -> Trail:
    """What was read so far on behalf of this request."""
    if "trail" not in g:
        g.trail = Trail()
    trail: Trail = g.trail
    return trail


def shared_context() -> Context:
    """The context of the app itself, in which there are no studies: for who asks, and for what is told of none."""
    context: Context = current_app.extensions[_KEY]
    return context
