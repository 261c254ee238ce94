"""The one exception that reaches a person: what happened, what was expected, what to do next."""


class RecoverMeshError(Exception):
    """An error that a user can act on.

    `code` is a stable machine-readable word (it travels in the wire's `error` message), `message` says what happened
    and what was expected, `hint` says what to do next.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(RecoverMeshError):
    """A file or value given by the user cannot be used."""


class Cancelled(RecoverMeshError):
    """The user asked for the job to stop."""

    def __init__(self) -> None:
        super().__init__("cancelled", "The job was cancelled.")
