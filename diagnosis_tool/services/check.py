"""Whether all is there: rows, files and hashes compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from diagnosis_tool.errors import NotFound
from diagnosis_tool.services.context import Context
from diagnosis_tool.storage.inventory import NamedContent

IN_FLIGHT_S: Final = 3600.0
"""A file gets its name moments before its row is committed: one so young may belong to an upload that runs."""


class FaultKind(StrEnum):
    """What may be wrong with a store."""

    DATABASE = "database"
    MISSING = "missing"
    DAMAGED = "damaged"
    ORPHANED = "orphaned"
    STRANGE = "strange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong. what: a sentence for the administrator, with ids and no patient's name."""

    kind: FaultKind
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was compared. in_flight: files that no row names and that are too young to be called orphaned, and files
    that are being received; removed: orphans that were removed, which are no fault any more."""

    studies: int
    contents: int
    bytes: int
    faults: tuple[Fault, ...]
    in_flight: int
    removed: int

    @property
    def is_sound(self) -> bool:
        """True when nothing is wrong."""
        return not self.faults


def check_store(context: Context, *, remove_orphans: bool = False, in_flight_s: float = IN_FLIGHT_S) -> CheckReport:
    """Compares what rows name with what lies in the store, hashing every file; may run while the tool serves.

    remove_orphans: removes files that no row names and that are older than in_flight_s, also of uploads that a crash
    cut off. Raises DatabaseInvalid when the database cannot be read at all.
    """
    stored = {blob.sha256: blob for blob in context.blobs.all()}  # before the rows: what comes meanwhile is named
    named = context.inventory.named()
    faults = [Fault(kind=FaultKind.DATABASE, what=what) for what in context.inventory.faults()]
    for content in named:
        faults.extend(_faults_of(context, content))
    unnamed = [blob for sha256, blob in stored.items() if sha256 not in {content.sha256 for content in named}]
    orphans = [blob for blob in unnamed if blob.age_s >= in_flight_s]
    removed = 0
    if remove_orphans:
        for blob in orphans:
            context.studies.drop_content(blob.sha256)
        removed = len(orphans) + context.blobs.sweep(in_flight_s)
    else:
        faults.extend(_orphan(blob.sha256) for blob in orphans)
    faults.extend(
        Fault(kind=FaultKind.STRANGE, what=f"{path} is no file of this store.") for path in context.blobs.strangers()
    )
    return CheckReport(
        studies=len(context.inventory.study_uids()),
        contents=len(named),
        bytes=sum(content.size_bytes for content in named),
        faults=tuple(faults),
        in_flight=len(unnamed) - len(orphans) + context.blobs.waiting(),
        removed=removed,
    )


def _faults_of(context: Context, content: NamedContent) -> Iterator[Fault]:
    where = ", ".join(f"image {position + 1} of study {uid}" for uid, position in content.images)
    try:
        if not context.blobs.is_sound(content.sha256):
            what = f"The file {content.sha256} is not what was uploaded: its bytes were altered ({where})."
            yield Fault(kind=FaultKind.DAMAGED, what=what)
    except NotFound:
        if context.inventory.is_named(content.sha256):  # else it was deleted at this moment
            yield Fault(kind=FaultKind.MISSING, what=f"The file {content.sha256} is not there ({where}).")
    except OSError as error:
        what = f"The file {content.sha256} cannot be read: {error.strerror} ({where})."
        yield Fault(kind=FaultKind.DAMAGED, what=what)


def _orphan(sha256: str) -> Fault:
    return Fault(kind=FaultKind.ORPHANED, what=f"No study names the file {sha256}.")
