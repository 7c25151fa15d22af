"""What every use case needs, gathered once at start-up and passed as an argument."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from diagnosis_tool.services.bundles import BundleCatalogue
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.users import UserStore
from diagnosis_tool.storage.worklist_pages import WorklistStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Stores, clock and id source; no globals, so a test brings its own."""

    studies: StudyStore
    jobs: JobStore
    reviews: ReviewStore
    users: UserStore
    worklist: WorklistStore
    blobs: BlobStore
    now: Callable[[], datetime]
    new_uid: Callable[[], str]
    bundles: BundleCatalogue = field(default_factory=BundleCatalogue)
