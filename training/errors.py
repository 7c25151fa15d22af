"""What can go wrong in training; each message says what and where, and what to do."""

from diagnosis_tool.errors import DiagnosisToolError


class RecipeInvalid(DiagnosisToolError):
    """The recipe or a --set override has an unknown, missing or impossible value."""


class DatasetInvalid(DiagnosisToolError):
    """The data set is empty, incomplete in its layout, or contradicts itself (a patient in two splits)."""


class ImagesUnreadable(DiagnosisToolError):
    """Some images of a data set cannot be decoded, and nobody said that they may be left out."""


class StartWeightsMissing(DiagnosisToolError):
    """A recipe asks for pretrained weights that are not there, or the file is not what its name says."""


class TrainingFailed(DiagnosisToolError):
    """The loss is not finite, memory or disk ran out, or a checkpoint does not belong to this recipe."""
