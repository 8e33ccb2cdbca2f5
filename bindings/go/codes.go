// Code generated from cbindgen.toml by tests/it/tables.rs; DO NOT EDIT.

package parbuckle

// The kinds of failures.
const (
	Cancelled       Code = 1  // the ctx was cancelled
	TimedOut        Code = 2  // a deadline or one of the client's time limits passed
	InvalidArgument Code = 3  // an argument makes no sense; the message names it
	InvalidState    Code = 4  // not now: closed, finished, or used by two threads at once
	NotFound        Code = 5  // no such repository, tag, manifest, blob or file
	AlreadyExists   Code = 6  // there already, and not to be replaced
	Unauthenticated Code = 7  // the registry wants other, or any, credentials
	Denied          Code = 8  // the credentials are good and don't allow this
	RateLimited     Code = 9  // the registry asked for fewer requests
	Unavailable     Code = 10 // the host can't be reached, or fails by itself
	Protocol        Code = 11 // the registry answered against the protocol
	Malformed       Code = 12 // a document or stream is not what it says it is
	DigestMismatch  Code = 13 // content does not have the digest or size it was named by
	Unsupported     Code = 14 // valid, but not something this library does
	LimitExceeded   Code = 15 // one of the named limits would be passed
	IO              Code = 16 // the operating system refused: file, disk, pipe
	TLS             Code = 17 // no trusted TLS connection came about
	Callback        Code = 18 // a callback of the host failed
	Forked          Code = 19 // made before a fork, and this is the child
	Internal        Code = 20 // a bug in this library
)
