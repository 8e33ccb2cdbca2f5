package parbuckle

// #include <parbuckle.h>
//
// // Tags are numbers: as pointers they would have no business in a variable of Go.
// static parb_error *queue_add(const parb_queue *queue, parb_op *op, uintptr_t tag) {
//   return parb_queue_add(queue, op, (void *)tag);
// }
// static parb_error *queue_take(const parb_queue *queue, int64_t timeout_ms, uintptr_t *tags, size_t cap, size_t *n) {
//   return parb_queue_take(queue, timeout_ms, (void **)tags, cap, n);
// }
import "C"

import (
	"context"
	"sync"
	"time"
)

const (
	// progressEvery is the time between two looks at how far a call is.
	progressEvery = 100 * time.Millisecond
	// queueIdle is how long the queue's goroutine outlives the last call.
	queueIdle = 200 * time.Millisecond
	// queueBatch is how many calls one look at the queue may find done.
	queueBatch = 64
)

// starter starts a call: an error of C's, or one of this package's.
type starter func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error)

// starterOf is a starter for calls that need no handle.
func starterOf(start func(*C.parb_ctx, **C.parb_op) *C.parb_error) starter {
	return func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) { return start(bound, op), nil }
}

// on lends a handle to the start of a call, and no longer: the operation keeps alive what it needs.
func on[P comparable](h *handle[P], start func(P, *C.parb_ctx, **C.parb_op) *C.parb_error) starter {
	return func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		p, err := h.acquire()
		if err != nil {
			return nil, err
		}
		defer h.release()
		return start(p, bound, op), nil
	}
}

// call starts a call, waits for it, takes what it results in, and makes a value of this package of it.
func call[P, T any](
	ctx context.Context,
	s *settings,
	start starter,
	take func(*C.parb_op, *P) *C.parb_error,
	wrap func(P) *T,
) (*T, error) {
	op, err := await(ctx, s, start)
	if err != nil {
		return nil, err
	}
	defer C.parb_op_free(op)
	var p P
	if e := take(op, &p); e != nil {
		return nil, failure(ctx, e)
	}
	return wrap(p), nil
}

// do is call for calls without a result.
func do(ctx context.Context, s *settings, start starter) error {
	op, err := await(ctx, s, start)
	if err != nil {
		return err
	}
	defer C.parb_op_free(op)
	return failure(ctx, C.parb_op_finish(op))
}

// await starts a call, unless something is the matter with its arguments, and waits for its end, which comes soon after
// that of ctx. The goroutine waits for a channel, not in C. The operation that comes back is done; its outcome is to be
// taken, and it is to be freed.
func await(ctx context.Context, s *settings, start starter) (*C.parb_op, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	if ctx.Err() != nil {
		return nil, endedBy(ctx, newError(Cancelled, ""))
	}
	bound := newContext(ctx)
	defer C.parb_ctx_free(bound)
	var op *C.parb_op
	e, err := start(bound, &op)
	if err != nil {
		return nil, err
	}
	if e != nil {
		return nil, failure(ctx, e)
	}
	if !C.parb_op_is_done(op) {
		done, err := completions.add(op)
		if err != nil {
			C.parb_op_free(op)
			return nil, err
		}
		wait(ctx, bound, op, done, s.progress)
	}
	if s.progress != nil {
		s.progress(progressOf(bound))
	}
	return op, nil
}

func wait(ctx context.Context, bound *C.parb_ctx, op *C.parb_op, done <-chan struct{}, progress func(done, total uint64)) {
	var tick <-chan time.Time
	if progress != nil {
		ticker := time.NewTicker(progressEvery)
		defer ticker.Stop()
		tick = ticker.C
	}
	ended := ctx.Done()
	for {
		select {
		case <-done:
			return
		case <-ended:
			// Its end is awaited all the same: then everything it held is gone.
			C.parb_op_cancel(op)
			ended = nil
		case <-tick:
			progress(progressOf(bound))
		}
	}
}

// bind is for the few calls that wait in C: a context of the library that ends with ctx, until release.
func bind(ctx context.Context) (c *C.parb_ctx, release func()) {
	c = newContext(ctx)
	if ctx.Done() == nil {
		return c, func() { C.parb_ctx_free(c) }
	}
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		C.parb_ctx_cancel(c)
		close(cancelled)
	})
	return c, func() {
		if !stop() {
			<-cancelled // it is being used: not to be freed under it
		}
		C.parb_ctx_free(c)
	}
}

// newContext is a context of the library with the deadline of ctx.
func newContext(ctx context.Context) *C.parb_ctx {
	c := C.parb_ctx_new(nil)
	if deadline, ok := ctx.Deadline(); ok {
		// Rounded up: the library's clock is never ahead of Go's.
		C.parb_ctx_set_timeout_ms(c, C.int64_t((time.Until(deadline)+time.Millisecond-1)/time.Millisecond))
	}
	return c
}

func progressOf(c *C.parb_ctx) (done, total uint64) {
	var d, t C.uint64_t
	C.parb_ctx_progress(c, &d, &t)
	return uint64(d), uint64(t)
}

// completions tells which operations are done. Its goroutine, and the C queue with it, is there while it is needed.
var completions queue

type queue struct {
	mu      sync.Mutex
	p       *C.parb_queue
	waiting map[uintptr]chan struct{}
	last    uintptr
}

// add gives a channel that is closed when op is done.
func (q *queue) add(op *C.parb_op) (<-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.p == nil {
		var p *C.parb_queue
		if e := C.parb_queue_new(&p); e != nil {
			return nil, failure(context.Background(), e)
		}
		q.p, q.waiting = p, map[uintptr]chan struct{}{}
		go q.run(p)
	}
	q.last++
	if e := C.queue_add(q.p, op, C.uintptr_t(q.last)); e != nil {
		return nil, failure(context.Background(), e)
	}
	done := make(chan struct{})
	q.waiting[q.last] = done
	return done, nil
}

// run wakes those who wait, until nobody has for a while.
func (q *queue) run(p *C.parb_queue) {
	var tags [queueBatch]C.uintptr_t
	for {
		var n C.size_t
		if e := C.queue_take(p, q.patience(), &tags[0], queueBatch, &n); e != nil {
			panic(failure(context.Background(), e)) // only this goroutine frees the queue
		}
		if q.deliver(tags[:n]) {
			return
		}
	}
}

// patience is how many milliseconds to wait for the next tag: for ever while one is to come.
func (q *queue) patience() C.int64_t {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		return -1
	}
	return C.int64_t(queueIdle / time.Millisecond)
}

// deliver tells whether that was the end: no tags came, and none will.
func (q *queue) deliver(tags []C.uintptr_t) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, tag := range tags {
		close(q.waiting[uintptr(tag)])
		delete(q.waiting, uintptr(tag))
	}
	if len(tags) > 0 || len(q.waiting) > 0 {
		return false
	}
	C.parb_queue_free(q.p)
	q.p = nil
	return true
}
