"""The exception taxonomy. Each message is for the user: what was wrong and what to do."""


class DiagnosisToolError(Exception):
    """Root of all errors that this project raises on purpose.

    message: English, a plain string literal where it is raised, so that `make messages` finds it; %(name)s stands for
    a value. str() of the error is the English sentence; pages translate message, then fill in the values.
    """

    def __init__(self, message: str, **values: object) -> None:
        super().__init__(message % values if values else message)
        self.message = message
        self.values = values


class UnreadableInput(DiagnosisToolError):
    """The bytes are no image that can be decoded: not an image, truncated, empty, of a format that is not accepted."""


class UnsupportedImage(DiagnosisToolError):
    """The image was decoded, or could be, but no model may read it: blank, tiny, in colour, too large."""


class BundleInvalid(DiagnosisToolError):
    """A released model is incomplete, altered, or does not reproduce its golden outputs. It must not be used."""


class SettingsInvalid(DiagnosisToolError):
    """One or more settings are wrong; the message lists them all."""


class NotFound(DiagnosisToolError):
    """What was asked for does not exist (any more)."""


class DatabaseInvalid(DiagnosisToolError):
    """The database is damaged, or its schema is not the one that this release works on."""


class BackupInvalid(DiagnosisToolError):
    """A backup is incomplete, altered or of another release, or there is no place for what it is to become."""


class Busy(DiagnosisToolError):
    """Others hold what is needed for too long: nothing was stored, and later it may work."""


class DecodersBusy(Busy):
    """An image takes long to decode, and others that do are being decoded: later there is room for it."""


class DecodersMissing(Busy):
    """No process that decodes can be started, for no fault of the image: later it can be decoded."""


class BrokenOff(DiagnosisToolError):
    """We ended what was being done, for no fault of its own: it can be done again."""


class Conflict(DiagnosisToolError):
    """The state does not allow it: somebody else was first."""


class UploadRefused(DiagnosisToolError):
    """The upload as a whole breaks a limit or holds no file."""


class QuotaExceeded(UploadRefused):
    """The sender already keeps as much here as one user may."""


class RequestRefused(DiagnosisToolError):
    """What was asked for makes no sense as it was said: a value is missing, of the wrong kind or out of range."""


class RequestMalformed(RequestRefused):
    """What was sent cannot even be read: no JSON, no text, no number."""


class NotSignedIn(DiagnosisToolError):
    """Nobody is signed in, or who tries to could not be recognised."""


class NotAllowed(DiagnosisToolError):
    """Who is signed in may not do this."""


class TooManyAttempts(DiagnosisToolError):
    """Somebody tried too often. wait_s: how long until the next attempt is looked at."""

    def __init__(self, message: str, *, wait_s: int, **values: object) -> None:
        super().__init__(message, **values)
        self.wait_s = wait_s


class ProviderDown(DiagnosisToolError):
    """Who vouches for people elsewhere does not answer now; here nothing is wrong."""


class StorageFull(DiagnosisToolError):
    """The disk has no room: nothing was stored."""
