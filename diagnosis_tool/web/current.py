"""What the running app carries for its views."""

from typing import Final

from flask import Flask, current_app

from diagnosis_tool.services.context import Context

_KEY: Final = "diagnosis_tool.context"

# Accounts come with their own issue; until then every write is the local reader's, whom the first migration brings.
LOCAL_READER_ID: Final = 1


def attach_context(app: Flask, context: Context) -> None:
    """Makes the context reachable from the app's views."""
    app.extensions[_KEY] = context


def current_context() -> Context:
    """The context of the app that serves this request."""
    context: Context = current_app.extensions[_KEY]
    return context
