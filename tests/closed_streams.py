"""What becomes of JPEG streams that were cut and closed again with EOI, printed as a table.

python -m tests.closed_streams; figures: docs/results/reliability.md.
"""

from diagnosis_tool.dicom.decode import decode_radiograph
from diagnosis_tool.errors import UnreadableInput
from tests.dicom_files import compressed, jpeg_streams

_PARTS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def main() -> None:
    """A line a kind of JPEG, a column a part that was left of the stream."""
    print("| stream | bits a pixel | " + " | ".join(f"{part:.0%}" for part in _PARTS) + " |")
    print("|" + "---|" * (len(_PARTS) + 2))
    for kind, (stream, *rest) in jpeg_streams():
        whole = decode_radiograph(compressed(stream, *rest)).pixels
        said = []
        for part in _PARTS:
            try:
                closed = decode_radiograph(compressed(stream[: int(len(stream) * part)] + b"\xff\xd9", *rest)).pixels
                said.append(f"read, {(closed != whole).mean():.0%} wrong")
            except UnreadableInput:
                said.append("refused")
        print(f"| {kind} | {8 * len(stream) / whole.size:.1f} | " + " | ".join(said) + " |")


if __name__ == "__main__":
    main()
