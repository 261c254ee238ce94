"""The exceptions that users read: what happened, what was expected, what to do next."""

from backend.protocol_errors import ExplainedError


class RecoverMeshError(ExplainedError):
    """An error of the backend that a user can act on."""


class BadInput(RecoverMeshError):
    """A file or value given by the user cannot be used."""


class Cancelled(RecoverMeshError):
    """The user asked for the job to stop."""

    def __init__(self) -> None:
        super().__init__("cancelled", "The job was cancelled.")
