"""What every use case needs, gathered once at start-up and passed as an argument."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from diagnosis_tool.cxr.types import Decoder
from diagnosis_tool.domain.access import Projects
from diagnosis_tool.domain.audit import Trail
from diagnosis_tool.services.bundles import BundleCatalogue
from diagnosis_tool.storage.audit import AuditLog, AuditRow
from diagnosis_tool.storage.blobs import BlobStore
from diagnosis_tool.storage.credentials import CredentialStore
from diagnosis_tool.storage.identities import IdentityStore
from diagnosis_tool.storage.inventory import Inventory
from diagnosis_tool.storage.jobs import JobStore
from diagnosis_tool.storage.metrics import MetricStore
from diagnosis_tool.storage.predictions import PredictionStore
from diagnosis_tool.storage.reviews import ReviewStore
from diagnosis_tool.storage.second_factors import SecondFactorStore
from diagnosis_tool.storage.studies import StudyStore
from diagnosis_tool.storage.users import UserStore
from diagnosis_tool.storage.worklist_pages import WorklistStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Stores, clock and id source; no globals, so a test brings its own.

    projects: whose studies there are for whoever this is done for; each store that gives some demands to be told.
    quota_bytes: how much each user may keep; None for no limit. decoder: what makes films of files.
    trail: notes what is read, for the audit log. row: what a change writes beside itself; None where nobody asked.
    """

    projects: Projects
    studies: StudyStore
    jobs: JobStore
    predictions: PredictionStore
    reviews: ReviewStore
    users: UserStore
    credentials: CredentialStore
    second_factors: SecondFactorStore
    identities: IdentityStore
    worklist: WorklistStore
    blobs: BlobStore
    inventory: Inventory
    audit: AuditLog
    metrics: MetricStore
    decoder: Decoder
    now: Callable[[], datetime]
    new_uid: Callable[[], str]
    bundles: BundleCatalogue = field(default_factory=BundleCatalogue)
    quota_bytes: int | None = None
    trail: Trail = field(default_factory=Trail)
    row: AuditRow | None = None
