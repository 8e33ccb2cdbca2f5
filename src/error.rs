//! The one error of the crate: a stable code, what it concerns, and what lies behind it.
//!
//! An [`Error`] is a cheap-to-clone value. Its message says what went wrong in words a user can act on, its subject
//! names the reference, URL or path concerned (never with credentials or query secrets), and its cause chain says why.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of a failure, as far as a program would branch on it. Numbers are append-only and equal the C constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum Code {
    /// The context was cancelled.
    Cancelled = 1,
    /// A deadline or one of the client's time limits passed.
    TimedOut = 2,
    /// An argument makes no sense; the message names it.
    InvalidArgument = 3,
    /// The object can't do that now: closed, finished, or used by two threads at once.
    InvalidState = 4,
    /// There is no such repository, tag, manifest, blob or file.
    NotFound = 5,
    /// It is there already, and was not to be replaced.
    AlreadyExists = 6,
    /// The registry wants other, or any, credentials.
    Unauthenticated = 7,
    /// The credentials are good and don't allow this.
    Denied = 8,
    /// The registry asked for fewer requests.
    RateLimited = 9,
    /// The host can't be reached, or answers with failures of its own.
    Unavailable = 10,
    /// The registry answered against the protocol.
    Protocol = 11,
    /// A document or stream is not what it says it is.
    Malformed = 12,
    /// Content does not have the digest or size it was named by.
    DigestMismatch = 13,
    /// Valid, but not something this library does.
    Unsupported = 14,
    /// One of the named limits would be passed.
    LimitExceeded = 15,
    /// The operating system refused: file, disk, pipe.
    Io = 16,
    /// No trusted TLS connection came about.
    Tls = 17,
    /// A callback of the host failed.
    Callback = 18,
    /// The handle was made before a fork and can't do I/O in the child.
    Forked = 19,
    /// A bug in this library.
    Internal = 20,
}

impl Code {
    /// Every code, in the order of their numbers.
    pub const ALL: [Code; 20] = [
        Code::Cancelled,
        Code::TimedOut,
        Code::InvalidArgument,
        Code::InvalidState,
        Code::NotFound,
        Code::AlreadyExists,
        Code::Unauthenticated,
        Code::Denied,
        Code::RateLimited,
        Code::Unavailable,
        Code::Protocol,
        Code::Malformed,
        Code::DigestMismatch,
        Code::Unsupported,
        Code::LimitExceeded,
        Code::Io,
        Code::Tls,
        Code::Callback,
        Code::Forked,
        Code::Internal,
    ];

    /// The code with this number.
    pub fn from_i32(number: i32) -> Option<Code> {
        Code::ALL.into_iter().find(|c| *c as i32 == number)
    }

    /// The name of the C constant without its prefix, such as `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        match self {
            Code::Cancelled => "CANCELLED",
            Code::TimedOut => "TIMED_OUT",
            Code::InvalidArgument => "INVALID_ARGUMENT",
            Code::InvalidState => "INVALID_STATE",
            Code::NotFound => "NOT_FOUND",
            Code::AlreadyExists => "ALREADY_EXISTS",
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::Denied => "DENIED",
            Code::RateLimited => "RATE_LIMITED",
            Code::Unavailable => "UNAVAILABLE",
            Code::Protocol => "PROTOCOL",
            Code::Malformed => "MALFORMED",
            Code::DigestMismatch => "DIGEST_MISMATCH",
            Code::Unsupported => "UNSUPPORTED",
            Code::LimitExceeded => "LIMIT_EXCEEDED",
            Code::Io => "IO",
            Code::Tls => "TLS",
            Code::Callback => "CALLBACK",
            Code::Forked => "FORKED",
            Code::Internal => "INTERNAL",
        }
    }
}

/// A failure; see the module.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    message: String,
    subject: Option<String>,
    registry_code: Option<String>,
    http_status: Option<u16>,
    os_code: Option<i32>,
    retry_after: Option<Duration>,
    cause: Option<Error>,
    user: Option<Arc<dyn Any + Send + Sync>>,
}

impl Error {
    /// An error of this kind; `message` starts in lower case and has no full stop.
    pub fn new(code: Code, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner {
            code,
            message: message.into(),
            subject: None,
            registry_code: None,
            http_status: None,
            os_code: None,
            retry_after: None,
            cause: None,
            user: None,
        }))
    }

    /// An operating-system failure while doing something with `subject` (a path, usually).
    pub fn io(doing: &str, subject: impl fmt::Display, e: &std::io::Error) -> Error {
        let code = match e.kind() {
            std::io::ErrorKind::NotFound => Code::NotFound,
            _ => Code::Io,
        };
        let error = Error::new(code, format!("{doing}: {e}")).subject(subject);
        match e.raw_os_error() {
            Some(n) => error.os_code(n),
            None => error,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Names what the error concerns. The caller has removed credentials from it.
    pub fn subject(self, subject: impl fmt::Display) -> Error {
        self.with(|i| i.subject = Some(subject.to_string()))
    }
    /// As [`Error::subject`], unless the error has one.
    pub fn or_subject(self, subject: impl fmt::Display) -> Error {
        if self.0.subject.is_some() { self } else { self.subject(subject) }
    }
    /// Names what the error concerns; what it named until now goes to the front of the message.
    pub(crate) fn within(self, subject: impl fmt::Display) -> Error {
        let subject = subject.to_string();
        self.with(|i| {
            if let Some(before) = i.subject.replace(subject).filter(|before| i.subject.as_ref() != Some(before)) {
                i.message = format!("{before}: {}", i.message);
            }
        })
    }
    /// The registry's own code, such as `MANIFEST_UNKNOWN`.
    pub fn registry_code(self, code: impl Into<String>) -> Error {
        self.with(|i| i.registry_code = Some(code.into()))
    }
    /// The HTTP status that was answered.
    pub fn http_status(self, status: u16) -> Error {
        self.with(|i| i.http_status = Some(status))
    }
    /// The operating system's number.
    pub fn os_code(self, code: i32) -> Error {
        self.with(|i| i.os_code = Some(code))
    }
    /// Worth trying again after so long.
    pub fn retry_after(self, after: Duration) -> Error {
        self.with(|i| i.retry_after = Some(after))
    }
    /// What lies behind.
    pub fn cause(self, cause: Error) -> Error {
        self.with(|i| i.cause = Some(cause))
    }
    /// A value of the host that comes out with the error: an exception raised in a callback.
    pub fn user(self, user: Arc<dyn Any + Send + Sync>) -> Error {
        self.with(|i| i.user = Some(user))
    }

    /// The kind of the failure.
    pub fn code(&self) -> Code {
        self.0.code
    }
    /// What happened, without the subject.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// The reference, URL or path concerned, credentials removed.
    pub fn get_subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }
    /// The registry's own code.
    pub fn get_registry_code(&self) -> Option<&str> {
        self.0.registry_code.as_deref()
    }
    /// The HTTP status, where there was one.
    pub fn get_http_status(&self) -> Option<u16> {
        self.0.http_status
    }
    /// `errno`, where there was one.
    pub fn get_os_code(&self) -> Option<i32> {
        self.0.os_code
    }
    /// `Some` where another try may succeed: after so long.
    pub fn get_retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
    /// What lies behind.
    pub fn get_cause(&self) -> Option<&Error> {
        self.0.cause.as_ref()
    }
    /// What [`Error::user`] was given.
    pub fn get_user(&self) -> Option<&Arc<dyn Any + Send + Sync>> {
        self.0.user.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.0.subject {
            write!(f, "{subject}: ")?;
        }
        f.write_str(&self.0.message)?;
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.code().name())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|e| e as _)
    }
}

/// Through `std::io` and back without losing the code.
impl From<Error> for std::io::Error {
    fn from(e: Error) -> std::io::Error {
        std::io::Error::other(e)
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        if let Some(inner) = e.get_ref().and_then(|i| i.downcast_ref::<Error>()) {
            return inner.clone();
        }
        let error = Error::new(Code::Io, e.to_string());
        match e.raw_os_error() {
            Some(n) => error.os_code(n),
            None => error,
        }
    }
}

/// Shorthands, since most errors are one of these.
pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, message)
}
pub(crate) fn malformed(message: impl Into<String>) -> Error {
    Error::new(Code::Malformed, message)
}
