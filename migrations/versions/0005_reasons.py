"""Why an image was refused: the message's id and its values, as JSON, instead of the English sentence made of them."""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WITH_VALUES = (
    "The file is larger than any radiograph (limit %(limit)s MB). Send single images, no archives.",
    "The image has %(width)s x %(height)s pixels, more than a radiograph has (limit %(limit)s million). "
    "Export it at its original size.",
    "The image has far more pixels than a radiograph (limit %(limit)s million). Export it at its original size.",
    "The image has only %(width)s x %(height)s pixels; at least %(least)s x %(least)s are needed. "
    "Upload the original, not a preview.",
    "This is a %(view)s view; the model reads %(views)s only. Nothing was read.",
    "This is a %(modality)s image, not a radiograph (CR or DX). Nothing was read.",
    "This is a radiograph of %(part)s, not of the chest. Nothing was read.",
    "The pixels cannot be decoded (transfer syntax %(name)s): the file is damaged or its compression is not supported. "
    "Export it uncompressed.",
    "Reading this image broke down. Nothing is known about it; the server's log says more under job %(job)s.",
    "Reading this image broke down %(n)s times. Nothing is known about it; try another export of the image.",
)
"""All that was ever stored with values in it; any other sentence is its message's id, or stays as it is."""


def upgrade() -> None:
    connection = op.get_bind()
    patterns = [(message, _pattern(message)) for message in _WITH_VALUES]
    for instance_id, sentence in connection.execute(
        sa.text("SELECT id, error FROM instances WHERE error <> ''")  # nothing said is no message
    ).all():
        found = ((message, pattern.fullmatch(sentence)) for message, pattern in patterns)
        message, values = next(((m, match.groupdict()) for m, match in found if match), (sentence, {}))
        connection.execute(
            sa.text("UPDATE instances SET error = :error WHERE id = :id"),
            {"error": json.dumps({"message": message, "values": values}), "id": instance_id},
        )


def _pattern(message: str) -> re.Pattern[str]:
    seen: set[str] = set()

    def group(value: re.Match[str]) -> str:
        name = value[1]
        first = name not in seen
        seen.add(name)
        return f"(?P<{name}>.+?)" if first else f"(?P={name})"

    return re.compile(re.sub(r"%\\\((\w+)\\\)s", group, re.escape(message)), re.DOTALL)
