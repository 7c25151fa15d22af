"""What every use case needs, gathered once at start-up and passed as an argument."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from diagnosis_tool.domain.audit import Trail
from diagnosis_tool.services.bundles import BundleCatalogue
from diagnosis_tool.storage.audit import AuditLog, AuditRow
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.credentials import CredentialStore
from diagnosis_tool.storage.inventory import Inventory
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.metrics import MetricStore
from diagnosis_tool.storage.predictions import PredictionStore
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.users import UserStore
from diagnosis_tool.storage.worklist_pages import WorklistStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Stores, clock and id source; no globals, so a test brings its own.

    quota_bytes: how much each user may keep; None for no limit. trail: notes what is read, for the audit log.
    row: what a change writes beside itself; None where nobody asked for it.
    """

    studies: StudyStore
    jobs: JobStore
    predictions: PredictionStore
    reviews: ReviewStore
    users: UserStore
    credentials: CredentialStore
    worklist: WorklistStore
    blobs: BlobStore
    inventory: Inventory
    audit: AuditLog
    metrics: MetricStore
    now: Callable[[], datetime]
    new_uid: Callable[[], str]
    bundles: BundleCatalogue = field(default_factory=BundleCatalogue)
    quota_bytes: int | None = None
    trail: Trail = field(default_factory=Trail)
    row: AuditRow | None = None

    def within(self, projects: Collection[int]) -> "Context":
        """As who belongs to these projects has it: studies of others are as if there were none.

        Every request works on such a context, so no use case has to ask whose a study is. The worker's and the
        commands' has no bounds.
        """
        return replace(
            self,
            studies=self.studies.within(projects),
            reviews=self.reviews.within(projects),
            worklist=self.worklist.within(projects),
        )
