"""Made films through `predict` and through the running server: read with what is to be known of them, or refused."""

from pathlib import Path

import numpy as np
from pydicom.uid import SecondaryCaptureImageStorage

from testing.serving import serve
from tests.dicom_files import coded, compressed, dicom, jpeg, jpeg_streams
from tests.integration.predicted import predicted
from training.phantom import chest_phantom

END = b"\xff\xd9"
CAPTURED = {"SOPClassUID": SecondaryCaptureImageStorage, "BodyPartExamined": ""}
SMALL = chest_phantom(seed=5, height_px=90, width_px=80)
STREAMS = dict(jpeg_streams())


def part(kind: str, share: float, end: bytes = b"") -> bytes:
    stream, *rest = STREAMS[kind]
    return compressed(stream[: int(len(stream) * share)] + end, *rest)


# name, bytes, part of the refusal or None, part of a note or None
FILES: list[tuple[str, bytes, str | None, str | None]] = [
    *((f"whole-{n}.dcm", compressed(*STREAMS[kind]), None, None) for n, kind in enumerate(STREAMS)),
    *((f"cut-{n}.dcm", part(kind, 0.5), "cut short", None) for n, kind in enumerate(STREAMS)),
    *((f"cut-more-{n}.dcm", part(kind, 0.05), "cut short", None) for n, kind in enumerate(STREAMS)),
    ("closed-baseline.dcm", part("baseline", 0.5, END), "cut short", None),
    ("closed-progressive.dcm", part("progressive", 0.5, END), "cut short", None),
    ("closed-jpeg-ls.dcm", part("JPEG-LS, 8 bits", 0.5, END), "cannot be decoded", None),
    ("cut.jpg", jpeg(SMALL)[:1500], "truncated", None),
    ("closed.jpg", jpeg(SMALL)[:1500] + END, "truncated", None),
    ("whole.jpg", jpeg(SMALL), None, None),
    ("mirrored.dcm", dicom(SMALL, PatientOrientation=["R", "F"]), None, "mirrored left to right"),
    ("burned.dcm", dicom(SMALL, BurnedInAnnotation="YES"), None, "burned into"),
    ("lateral.dcm", dicom(SMALL, PatientOrientation=["A", "F"]), "LL view", None),
    ("coded.dcm", dicom(SMALL, ViewCodeSequence=[coded("399173006", "left lateral")]), "LL view", None),
    ("oblique.dcm", dicom(SMALL, ViewPosition="RLO"), "RLO view", None),
    ("hand.dcm", dicom(SMALL, AnatomicRegionSequence=[coded("85562004", "Hand")]), "radiograph of Hand", None),
    ("knee.dcm", dicom(SMALL, BodyPartExamined="", StudyDescription="KNEE"), "radiograph of KNEE", None),
    ("raw.dcm", dicom(SMALL, PresentationIntentType="FOR PROCESSING"), "FOR PROCESSING", None),
    ("nothing.dcm", dicom(SMALL, Modality=""), "Modality is missing", None),
    ("shot.dcm", dicom(SMALL, **CAPTURED), "secondary capture", None),
    ("bare.dcm", dicom(SMALL)[132:], "without a file header", None),
    ("narrow.dcm", dicom(SMALL.astype(np.uint16) + 50_000), None, None),
    ("outside.dcm", dicom(SMALL, WindowCenter=9000, WindowWidth=10), None, None),
]  # fmt: skip


def test_the_running_server_says_of_each_what_it_is(tiny_bundle: Path, tmp_path: Path) -> None:
    with serve(tmp_path / "data", tiny_bundle, {"TORCH_THREADS": "1"}) as server:
        study = server.finished(server.upload([(name, data) for name, data, *_ in FILES], show=False))
    for (name, _, refusal, note), instance in zip(FILES, study["instances"], strict=True):
        assert instance["state"] == ("refused" if refusal else "done"), (name, instance["error"])
        assert refusal is None or refusal in instance["error"], name
        assert bool(instance.get("notes")) == (note is not None), name
        assert note is None or note in instance["notes"][0], name


def test_predict_says_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    for (name, _, refusal, note), row in zip(FILES, predicted(FILES, tiny_bundle, tmp_path), strict=True):
        assert (row["refused"] is None) == (refusal is None), (name, row["refused"])
        assert refusal is None or refusal in row["refused"], name
        assert note is None or note in row["notes"][0], name
        assert bool(row["findings"]) == (refusal is None)
