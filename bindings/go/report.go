package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Report is what an examination found: nothing, where all is well.
type Report struct {
	h handle[*C.parb_report]
}

func newReport(p *C.parb_report) *Report {
	report := &Report{}
	report.h.own(p, "report", func(p *C.parb_report) { C.parb_report_free(p) })
	return report
}

func takeReport(op *C.parb_op, out **C.parb_report) *C.parb_error {
	return C.parb_op_take_report(op, out)
}

// Finding is one thing that an examination found. It is an error, of the kind of its code.
type Finding struct {
	Code    Code
	Subject string // what it concerns: a digest, a path, a field
	Message string // what is wrong there, for people
}

// Error is subject and message.
func (f Finding) Error() string { return f.Subject + ": " + f.Message }

// Unwrap gives the code to errors.Is.
func (f Finding) Unwrap() error { return f.Code }

// Len is how many findings there are.
func (r *Report) Len() int {
	return get(&r.h, func(p *C.parb_report) int { return int(C.parb_report_count(p)) })
}

// Findings goes through the findings.
func (r *Report) Findings() iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		for n := range r.Len() {
			if !yield(r.at(n)) {
				return
			}
		}
	}
}

func (r *Report) at(n int) Finding {
	return get(&r.h, func(p *C.parb_report) Finding {
		i := C.size_t(n)
		return Finding{
			Code:    Code(C.parb_report_code_at(p, i)),
			Subject: C.GoString(C.parb_report_subject_at(p, i)),
			Message: C.GoString(C.parb_report_message_at(p, i)),
		}
	})
}

// JSON is all findings as a JSON list of objects with "code", "subject" and "message".
func (r *Report) JSON() []byte {
	return get(&r.h, func(p *C.parb_report) []byte { return []byte(C.GoString(C.parb_report_json(p))) })
}

// MarshalJSON is JSON, for encoding/json.
func (r *Report) MarshalJSON() ([]byte, error) { return r.JSON(), nil }

// String is one line for each finding.
func (r *Report) String() string {
	var lines strings.Builder
	for finding := range r.Findings() {
		fmt.Fprintln(&lines, finding)
	}
	return lines.String()
}

// Err is nil where all is well, and else an error that is each of the findings: errors.Is with a [Code] tells whether
// one of them is of that kind, errors.As with a [Finding] gives the first.
func (r *Report) Err() error {
	if r.Len() == 0 {
		return nil
	}
	return findings(slices.Collect(r.Findings()))
}

type findings []Finding

func (f findings) Error() string {
	if len(f) == 1 {
		return "parbuckle: " + f[0].Error()
	}
	return fmt.Sprintf("parbuckle: %d findings, first %v", len(f), f[0])
}

func (f findings) Unwrap() []error {
	errs := make([]error, len(f))
	for i, finding := range f {
		errs[i] = finding
	}
	return errs
}
