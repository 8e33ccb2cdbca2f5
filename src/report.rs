//! What an examination found: a list, in the order of the examined things.

use crate::error::{Code, Error};
use serde_json::json;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// What it concerns: a digest, a path, a field.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(Vec<Finding>);

impl Report {
    /// The findings; none where all is well.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
    /// Whether nothing was found.
    pub fn is_clean(&self) -> bool {
        self.0.is_empty()
    }
    /// A list of objects with `code`, `subject` and `message`.
    pub fn to_json(&self) -> String {
        let items: Vec<&Finding> = self.0.iter().collect();
        let object = |f: &&Finding| json!({"code": f.code.name(), "subject": f.subject, "message": f.message});
        serde_json::Value::from(items.iter().map(object).collect::<Vec<_>>()).to_string()
    }
    pub(crate) fn add(&mut self, code: Code, subject: impl ToString, message: impl Into<String>) {
        self.0.push(Finding { code, subject: subject.to_string(), message: message.into() });
    }
    pub(crate) fn add_error(&mut self, subject: impl ToString, error: &Error) {
        let subject = error.get_subject().map_or_else(|| subject.to_string(), ToOwned::to_owned);
        self.0.push(Finding { code: error.code(), subject, message: error.message().to_owned() });
    }
    pub(crate) fn append(&mut self, mut other: Report) {
        self.0.append(&mut other.0);
    }
}
