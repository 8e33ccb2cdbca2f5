package parbuckle

// #include <parbuckle.h>
//
// // What C gets to call, in export.go. The pointer that it keeps for us is a number, the key in the table of what was
// // lent.
// extern parb_error *parbuckleGoRead(uintptr_t user, uint8_t *buf, size_t cap, size_t *out_n);
// extern parb_error *parbuckleGoOpen(uintptr_t user, parb_descriptor *blob, uint64_t offset, parb_source **out);
// extern parb_error *parbuckleGoExists(uintptr_t user, parb_descriptor *blob, int32_t *out_exists);
// extern void parbuckleGoDestroy(uintptr_t user);
//
// static parb_error *on_read(void *user, uint8_t *buf, size_t cap, size_t *out_n) {
//   return parbuckleGoRead((uintptr_t)user, buf, cap, out_n);
// }
// static parb_error *on_open(void *user, const parb_descriptor *blob, uint64_t offset, parb_source **out) {
//   return parbuckleGoOpen((uintptr_t)user, (parb_descriptor *)blob, offset, out);
// }
// static parb_error *on_exists(void *user, const parb_descriptor *blob, int32_t *out_exists) {
//   return parbuckleGoExists((uintptr_t)user, (parb_descriptor *)blob, out_exists);
// }
// static void on_destroy(void *user) { parbuckleGoDestroy((uintptr_t)user); }
//
// static parb_source *source_new(uintptr_t user) {
//   return parb_source_new(on_read, NULL, (void *)user, on_destroy);
// }
// static void blobs_set_open(parb_blobs *blobs, uintptr_t user, int asks) {
//   parb_blobs_set_open(blobs, on_open, asks ? on_exists : NULL, (void *)user, on_destroy);
// }
// static parb_error *error_new(parb_code code, const char *message, uintptr_t user) {
//   return parb_error_new(code, message, (void *)user, on_destroy);
// }
// static uintptr_t error_user(const parb_error *error) { return (uintptr_t)parb_error_user(error); }
import "C"

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
)

// lent is what C keeps for us, by number, until it calls parbuckleGoDestroy.
var lent = table{values: map[C.uintptr_t]any{}}

type table struct {
	mu     sync.Mutex
	last   C.uintptr_t
	values map[C.uintptr_t]any
}

func (t *table) add(value any) C.uintptr_t {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	t.values[t.last] = value
	return t.last
}

func (t *table) get(user C.uintptr_t) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.values[user]
}

func (t *table) remove(user C.uintptr_t) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	value := t.values[user]
	delete(t.values, user)
	return value
}

// lendError makes an error of a callback one of C's, out of which [lentTo] gets it at the other end.
func lendError(err error) *C.parb_error {
	code := Callback
	var kind Code
	switch {
	case errors.As(err, &kind):
		code = kind
	case errors.Is(err, fs.ErrNotExist):
		code = NotFound
	}
	var a arena
	defer a.free()
	message := a.text("message", strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", " "), "\uFFFD"))
	return C.error_new(C.parb_code(code), message, lent.add(err))
}

func lentTo(e *C.parb_error) error {
	// Others in the process may have given theirs; no pointer of theirs is as low a number as ours.
	err, _ := lent.get(C.error_user(e)).(error)
	return err
}

// recovered makes a panic of a callback its error: C's frames can't be unwound.
func recovered(answer **C.parb_error) {
	if reason := recover(); reason != nil {
		*answer = lendError(fmt.Errorf("the callback panicked: %v\n%s", reason, debug.Stack()))
	}
}

// source is a stream for C to read.
type source struct {
	c      *C.parb_source
	stream io.Reader
	gone   chan struct{}
}

func newSource(stream io.Reader) *source {
	s := &source{stream: stream, gone: make(chan struct{})}
	s.c = C.source_new(lent.add(s))
	return s
}

// close gives the C source up, which C may read for a while yet.
func (s *source) close() { C.parb_source_free(s.c) }

// wait waits until C reads no more.
func (s *source) wait() { <-s.gone }

// end is called by C when it reads no more.
func (s *source) end() {
	if closer, ok := s.stream.(ended); ok {
		closer.Close() // what was read was right, or an error that was told
	}
	close(s.gone)
}

// ended is a stream that is closed when C is done with it. Those of callers are theirs to close.
type ended struct{ io.ReadCloser }

func (s *source) read(into []byte) (int, error) {
	for {
		n, err := s.stream.Read(into)
		switch {
		case n > 0 || err == io.EOF:
			return n, nil // an error beside bytes comes again
		case err != nil:
			return 0, err
		}
	}
}

// opener is the function of [Parts] that opens blobs.
type opener struct {
	ctx    context.Context
	open   BlobOpener
	exists func(context.Context, *Descriptor) (bool, error)
}

func (o *opener) lendTo(blobs *C.parb_blobs) {
	asks := C.int(0)
	if o.exists != nil {
		asks = 1
	}
	C.blobs_set_open(blobs, lent.add(o), asks)
}

func (o *opener) at(blob *Descriptor, offset uint64) (io.ReadCloser, error) {
	stream, err := o.open(o.ctx, blob)
	if err != nil {
		return nil, err
	}
	if stream == nil {
		return nil, newError(Callback, "the function that opens blobs gave neither a stream nor an error")
	}
	if err := skip(stream, offset); err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

func skip(stream io.Reader, offset uint64) error {
	if offset == 0 {
		return nil
	}
	if seeker, ok := stream.(io.Seeker); ok {
		if _, err := seeker.Seek(int64(offset), io.SeekStart); err == nil {
			return nil // else it is one that can't, such as a pipe
		}
	}
	_, err := io.CopyN(io.Discard, stream, int64(offset))
	if err == io.EOF {
		return nil // the library finds that it is short
	}
	return err
}
