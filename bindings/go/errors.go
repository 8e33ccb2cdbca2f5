package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Code is the kind of a failure. It is an error itself, so that errors.Is(err, parbuckle.NotFound) works.
type Code int32

// Error is the code's name, such as "NOT_FOUND".
func (c Code) Error() string { return C.GoString(C.parb_error_code_name(C.parb_code(c))) }

// Error is a failure.
type Error struct {
	Code         Code
	Message      string        // what happened, without the subject and the cause
	Subject      string        // the reference, URL or path concerned, credentials removed; "" where there is none
	HTTPStatus   int           // what a registry answered; 0 where none did
	RegistryCode string        // the registry's own code, such as "MANIFEST_UNKNOWN"; "" where there is none
	RetryAfter   time.Duration // how long to wait before the same call may succeed; less than 0: it won't
	Errno        syscall.Errno // the operating system's number; 0 where there was none
	Cause        error         // what lies behind; nil where nothing does

	ended error // what the context said, if that is why the call failed
}

// Error is the subject, the message and the cause.
func (e *Error) Error() string {
	parts := []string{"parbuckle", e.Subject, e.Message}
	if e.Cause != nil {
		parts = append(parts, strings.TrimPrefix(e.Cause.Error(), "parbuckle: "))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ": ")
}

// Unwrap gives what errors.Is and errors.As look at: the code, the cause, what the context said, the errno.
func (e *Error) Unwrap() []error {
	errs := []error{e.Code}
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	if e.ended != nil {
		errs = append(errs, e.ended)
	}
	if e.Errno != 0 {
		errs = append(errs, e.Errno)
	}
	return errs
}

func newError(code Code, message string) *Error {
	return &Error{Code: code, Message: message, RetryAfter: -1}
}

// newCause is an error of this package's with what lies behind it.
func newCause(code Code, message string, cause error) *Error {
	err := newError(code, message)
	err.Cause = cause
	return err
}

// failure copies and frees a C error; nil for NULL. The error arrives as a value, so it does not matter on which thread
// the goroutine runs next.
func failure(ctx context.Context, e *C.parb_error) error {
	if e == nil {
		return nil
	}
	defer C.parb_error_free(e)
	return endedBy(ctx, copyError(e))
}

func copyError(e *C.parb_error) *Error {
	err := &Error{
		Code:         Code(C.parb_error_code(e)),
		Message:      C.GoString(C.parb_error_message(e)),
		Subject:      C.GoString(C.parb_error_subject(e)),
		HTTPStatus:   int(C.parb_error_http_status(e)),
		RegistryCode: C.GoString(C.parb_error_registry_code(e)),
		RetryAfter:   -1,
		Errno:        syscall.Errno(C.parb_error_os_code(e)),
	}
	if ms := int64(C.parb_error_retry_after_ms(e)); ms >= 0 {
		err.RetryAfter = time.Duration(ms) * time.Millisecond
	}
	if cause := C.parb_error_cause(e); cause != nil {
		err.Cause = copyError(cause)
	} else {
		err.Cause = lentTo(e) // what a callback of the program failed with
	}
	return err
}

// endedBy puts what ctx says into the error of a call that it ended. Whether the library's clock or Go's came first,
// and whether this package cancelled the call or the library did, makes no difference to what comes out.
func endedBy(ctx context.Context, err *Error) error {
	if err.Code != Cancelled && err.Code != TimedOut {
		return err
	}
	why := ctx.Err()
	if deadline, ok := ctx.Deadline(); ok && why == nil && err.Code == TimedOut && !time.Now().Before(deadline) {
		why = context.DeadlineExceeded
	}
	switch {
	case why == nil:
		return err // a time limit of the client, or the client was closed
	case errors.Is(why, context.DeadlineExceeded):
		err.Code, err.Message = TimedOut, "the deadline passed"
	default:
		err.Code, err.Message = Cancelled, "the call was cancelled"
	}
	err.ended = why
	if cause := context.Cause(ctx); cause != nil && cause != why {
		err.Cause = cause
	}
	return err
}
