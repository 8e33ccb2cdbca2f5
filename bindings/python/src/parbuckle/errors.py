"""What the library raises: one exception class for each kind of failure."""

from __future__ import annotations

from typing import Any, Optional


class Error(Exception):
    """A failure in the library. The subclasses tell the kind, as does `code`.

    `__cause__` is the failure that lies behind this one, if there is one.
    """

    #: The kind, such as "NOT_FOUND".
    code: str
    #: What happened, without the subject.
    message: str
    #: The reference, URL or path concerned, without credentials.
    subject: Optional[str]
    #: The HTTP status that was answered.
    http_status: Optional[int]
    #: The registry's own code, such as "MANIFEST_UNKNOWN".
    registry_code: Optional[str]
    #: After how many seconds the same call may succeed; None: it won't.
    retry_after: Optional[float]
    #: The operating system's number (errno).
    os_code: Optional[int]

    def __init__(
        self,
        message: str,
        *,
        code: str = "INTERNAL",
        subject: Optional[str] = None,
        http_status: Optional[int] = None,
        registry_code: Optional[str] = None,
        retry_after: Optional[float] = None,
        os_code: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.subject = subject
        self.http_status = http_status
        self.registry_code = registry_code
        self.retry_after = retry_after
        self.os_code = os_code

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" if self.subject else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from their positional arguments; the other fields go as state (multiprocessing).
        return type(self), (self.message,), self.__dict__


class CancelledError(Error):
    """The call was cancelled."""


class TimedOutError(Error, TimeoutError):
    """A timeout of the call or of the client passed. Also a TimeoutError."""


class InvalidArgumentError(Error, ValueError):
    """An argument makes no sense. Also a ValueError."""


class InvalidStateError(Error):
    """Not now: closed, finished, or used by two threads at once."""


class NotFoundError(Error):
    """There is no such repository, tag, manifest, blob or file."""


class AlreadyExistsError(Error):
    """There already, and not to be replaced."""


class UnauthenticatedError(Error):
    """The registry wants other, or any, credentials."""


class DeniedError(Error):
    """The credentials are good and don't allow this."""


class RateLimitedError(Error):
    """The registry asked for fewer requests."""


class UnavailableError(Error):
    """The host can't be reached, or fails by itself."""


class ProtocolError(Error):
    """The registry answered against the protocol."""


class MalformedError(Error):
    """A document or stream is not what it says it is."""


class DigestMismatchError(Error):
    """Content does not have the digest or size it was named by."""


class UnsupportedError(Error):
    """Valid, but not something the library does."""


class LimitExceededError(Error):
    """A limit would be passed."""


class IoError(Error, OSError):
    """The operating system refused: file, disk, pipe. Also an OSError, with its errno."""


class TlsError(Error):
    """No trusted TLS connection came about."""


class CallbackError(Error):
    """A callback failed."""


class ForkedError(Error):
    """Made before a fork, and this is the child: make a new client."""


class InternalError(Error):
    """A bug in the library."""


BY_CODE: dict[str, type[Error]] = {
    "CANCELLED": CancelledError,
    "TIMED_OUT": TimedOutError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "INVALID_STATE": InvalidStateError,
    "NOT_FOUND": NotFoundError,
    "ALREADY_EXISTS": AlreadyExistsError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "DENIED": DeniedError,
    "RATE_LIMITED": RateLimitedError,
    "UNAVAILABLE": UnavailableError,
    "PROTOCOL": ProtocolError,
    "MALFORMED": MalformedError,
    "DIGEST_MISMATCH": DigestMismatchError,
    "UNSUPPORTED": UnsupportedError,
    "LIMIT_EXCEEDED": LimitExceededError,
    "IO": IoError,
    "TLS": TlsError,
    "CALLBACK": CallbackError,
    "FORKED": ForkedError,
    "INTERNAL": InternalError,
}
