package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"io"
	"io/fs"
	"runtime"
	"sync"
	"unsafe"
)

// LayerWriter takes in a layer's tar piece by piece: put archive/tar's Writer on it, say. It is for one goroutine at a
// time, but for Close.
type LayerWriter struct {
	ctx      context.Context
	h        handle[*C.parb_layer_writer]
	progress func(done, total uint64)
	taken    uint64
}

// NewLayerWriter opens a writer for a layer's tar, plain or compressed with gzip or zstd, into [WithSink]'s sink. ctx
// bounds the writing too. Close the writer when done.
func NewLayerWriter(ctx context.Context, options ...Option) (*LayerWriter, error) {
	s := newSettings(options)
	defer s.free()
	progress := s.progress
	s.progress = nil // told of what is written, not of how the writer is opened
	return call(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return C.parb_layer_writer_new_start(s.c, bound, op), nil
	}, func(op *C.parb_op, out **C.parb_layer_writer) *C.parb_error {
		return C.parb_op_take_layer_writer(op, out)
	}, func(p *C.parb_layer_writer) *LayerWriter {
		w := &LayerWriter{ctx: ctx, progress: progress}
		w.h.own(p, "layer writer", func(p *C.parb_layer_writer) { C.parb_layer_writer_free(p) })
		return w
	})
}

// Write takes in the next bytes of the tar, all of them. It waits, in C, while the compressor or the sink are behind.
// After an error the writer is of no more use.
func (w *LayerWriter) Write(tar []byte) (int, error) {
	p, err := w.h.acquire()
	if err != nil {
		return 0, err
	}
	defer w.h.release()
	if len(tar) == 0 {
		return 0, nil
	}
	bound, release := bind(w.ctx)
	defer release()
	if e := C.parb_layer_writer_write(p, bytesAt(tar), C.size_t(len(tar)), bound); e != nil {
		return 0, failure(w.ctx, e)
	}
	w.taken += uint64(len(tar))
	if w.progress != nil {
		w.progress(w.taken, 0)
	}
	return len(tar), nil
}

// Finish ends the tar and gives the layer, once it is in its sink.
func (w *LayerWriter) Finish(ctx context.Context) (*Layer, error) {
	return call(ctx, &settings{}, on(&w.h, func(p *C.parb_layer_writer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_writer_finish_start(p, nil, bound, op)
	}), takeLayer, newLayer)
}

// Close frees the writer, after a Write that runs. One that was not finished leaves nothing behind.
func (w *LayerWriter) Close() error {
	w.h.close()
	return nil
}

// reader is a stream of verified bytes, which come in pieces that are C's.
type reader struct {
	ctx    context.Context // ends with Close
	outer  context.Context // what the user gave
	mu     sync.Mutex      // held by Read
	stream *stream
	err    error
	net    runtime.Cleanup
}

// stream is what there is to free.
type stream struct {
	p     *C.parb_reader
	piece *C.parb_buf
	rest  []byte // of the piece
	// cancel ends the reader's context, which its user's would remember otherwise.
	cancel context.CancelFunc
}

func (s *stream) free() {
	C.parb_buf_free(s.piece)
	C.parb_reader_free(s.p)
	s.p, s.piece, s.rest = nil, nil, nil
	s.cancel()
}

func openReader(ctx context.Context, s *settings, start starter) (io.ReadCloser, error) {
	opened, err := call(ctx, s, start, func(op *C.parb_op, out **C.parb_reader) *C.parb_error {
		return C.parb_op_take_reader(op, out)
	}, func(p *C.parb_reader) *reader {
		r := &reader{outer: ctx, stream: &stream{p: p}}
		r.ctx, r.stream.cancel = context.WithCancel(ctx)
		r.net = runtime.AddCleanup(r, func(s *stream) { s.free() }, r.stream)
		return r
	})
	if err != nil {
		return nil, err // not opened: a nil *reader is no nil io.ReadCloser
	}
	return opened, nil
}

// Read fills part of b, waiting for at least one byte.
func (r *reader) Read(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b) == 0 || r.err != nil {
		return 0, r.err
	}
	if len(r.stream.rest) == 0 {
		if r.err = r.next(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(b, r.stream.rest)
	r.stream.rest = r.stream.rest[n:]
	return n, nil
}

// next waits for a piece; io.EOF after the last one.
func (r *reader) next() error {
	C.parb_buf_free(r.stream.piece)
	r.stream.piece = nil
	piece, err := r.fetch()
	if err != nil {
		if r.ctx.Err() != nil && r.outer.Err() == nil {
			return errReaderClosed()
		}
		return err
	}
	r.stream.piece = piece
	r.stream.rest = unsafe.Slice((*byte)(C.parb_buf_data(piece)), int(C.parb_buf_len(piece)))
	if len(r.stream.rest) == 0 {
		return io.EOF
	}
	return nil
}

func (r *reader) fetch() (*C.parb_buf, error) {
	op, err := await(r.ctx, &settings{}, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return C.parb_reader_next_start(r.stream.p, nil, bound, op), nil
	})
	if err != nil {
		return nil, err
	}
	defer C.parb_op_free(op)
	var piece *C.parb_buf
	return piece, failure(r.ctx, C.parb_op_take_buf(op, &piece))
}

// Close ends the stream, and a Read that waits for it. What was not read yet is not fetched.
func (r *reader) Close() error {
	r.stream.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.net.Stop()
	r.stream.free()
	r.err = errReaderClosed()
	return nil
}

func errReaderClosed() error {
	return newCause(InvalidState, "the reader is closed", fs.ErrClosed)
}
