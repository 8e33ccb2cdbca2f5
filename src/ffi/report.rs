//! Reports of what an examination found.

use crate::Report;
use crate::ffi::boundary::{Opaque, Pointer, free, get};
use crate::ffi::error::parb_code;
use crate::ffi::text::{c_string, lend};
use std::ffi::{CString, c_char};
use std::ptr::null;

/// What an examination found: a list of findings, empty where all is well. Immutable. Yours to free.
pub struct parb_report {
    _private: [u8; 0],
}

// SAFETY: made by `put` only.
unsafe impl Opaque for parb_report {
    type Value = ReportHandle;
    const NAME: &'static str = "parb_report";
    const TAG: u64 = u64::from_le_bytes(*b"parbrept");
    const THREADED: bool = false;
}

pub(crate) struct ReportHandle {
    findings: Vec<(parb_code, CString, CString)>,
    json: CString,
}

impl ReportHandle {
    pub(crate) fn new(report: Report) -> ReportHandle {
        let findings = report.findings().iter();
        ReportHandle {
            findings: findings.map(|f| (f.code as parb_code, c_string(&f.subject), c_string(&f.message))).collect(),
            json: c_string(&report.to_json()),
        }
    }
}

/// Frees a report. NULL is fine.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_free(report: *mut parb_report) {
    free(report)
}

/// How many findings there are; 0: all is well.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_count(report: *const parb_report) -> usize {
    get(0, || Ok(report.get("report")?.findings.len()))
}

/// What kind of thing a finding is; PARB_OK past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_code_at(report: *const parb_report, i: usize) -> parb_code {
    get(0, || Ok(report.get("report")?.findings.get(i).map_or(0, |f| f.0)))
}

/// What a finding concerns: a digest, a path, a field. Lives as long as the report; NULL past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_subject_at(report: *const parb_report, i: usize) -> *const c_char {
    get(null(), || Ok(report.get("report")?.findings.get(i).map_or(null(), |f| lend(Some(&f.1)))))
}

/// What is wrong there, for people. Lives as long as the report; NULL past the end.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_message_at(report: *const parb_report, i: usize) -> *const c_char {
    get(null(), || Ok(report.get("report")?.findings.get(i).map_or(null(), |f| lend(Some(&f.2)))))
}

/// All findings as a JSON list of objects with "code", "subject" and "message". Lives as long as the report.
///
/// @since 0.1
#[unsafe(no_mangle)]
pub unsafe extern "C" fn parb_report_json(report: *const parb_report) -> *const c_char {
    get(null(), || Ok(lend(Some(&report.get("report")?.json))))
}
