//! Answers, and the errors of the distribution spec.

use super::body::Content;
use crate::error::{Code, Error};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// An answer, its body not yet sent.
pub(super) type Reply = Response<Content>;

pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub(super) const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
pub(super) const OCI_FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub errors: Vec<(&'static str, String, Option<Value>)>,
    pub headers: Vec<(HeaderName, String)>,
    /// What went wrong in the server; for the log only.
    pub cause: Option<Error>,
}

pub(super) type Answer<T = Reply> = std::result::Result<T, Refusal>;

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Refusal { status, errors: vec![(code, message.into(), None)], headers: Vec::new(), cause: None }
    }
    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Refusal {
        self.headers.push((name, value.into()));
        self
    }
    pub fn detail(mut self, detail: Value) -> Refusal {
        if let Some(last) = self.errors.last_mut() {
            last.2 = Some(detail);
        }
        self
    }

    pub fn name_unknown(name: &str) -> Refusal {
        Refusal::new(404, "NAME_UNKNOWN", "repository name not known to registry").detail(json!({ "name": name }))
    }
    pub fn manifest_unknown(reference: &str) -> Refusal {
        Refusal::new(404, "MANIFEST_UNKNOWN", "manifest unknown to registry").detail(json!({ "reference": reference }))
    }
    pub fn blob_unknown(digest: &str) -> Refusal {
        Refusal::new(404, "BLOB_UNKNOWN", "blob unknown to registry").detail(json!({ "digest": digest }))
    }
    pub fn upload_unknown() -> Refusal {
        Refusal::new(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
    }
    pub fn digest_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "DIGEST_INVALID", message)
    }
    pub fn manifest_invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "MANIFEST_INVALID", message)
    }

    pub fn reply(self) -> Reply {
        let document = |(code, message, detail): (&str, String, Option<Value>)| {
            let mut error = json!({ "code": code, "message": message });
            if let (Some(detail), Some(object)) = (detail, error.as_object_mut()) {
                object.insert("detail".into(), detail);
            }
            error
        };
        let errors: Vec<Value> = self.errors.into_iter().map(document).collect();
        let mut reply = json_reply(self.status, "application/json", json!({ "errors": errors }).to_string());
        for (name, value) in self.headers {
            set(&mut reply, name, &value);
        }
        reply
    }
}

/// Failures of the store are the server's own; the client learns only that much.
impl From<Error> for Refusal {
    fn from(e: Error) -> Refusal {
        let mut refusal = match e.code() {
            Code::LimitExceeded => Refusal::new(429, "TOOMANYREQUESTS", e.message()),
            _ => Refusal::new(500, "UNKNOWN", "the registry failed"),
        };
        refusal.cause = Some(e);
        refusal
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(Content::Empty);
    *reply.status_mut() = status;
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        set(&mut reply, CONTENT_LENGTH, "0");
    }
    reply
}

/// An answer with a document.
pub(super) fn json_reply(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Reply {
    let body = body.into();
    let length = body.len().to_string();
    let mut reply = Response::new(Content::Bytes(body));
    *reply.status_mut() = status;
    set(&mut reply, CONTENT_TYPE, media_type);
    set(&mut reply, CONTENT_LENGTH, &length);
    reply
}

/// Sets a header; text that can't stand in one is left out, which no caller's can.
pub(super) fn set(reply: &mut Reply, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
}
