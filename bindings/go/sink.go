package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// Sink is a place for the bytes of new layers; see [WithSink]. [Client.Sink], [Layout.Sink], [Cache.Sink] and
// [MemoryStore.Sink] make one.
type Sink struct {
	open func(a *arena, sink **C.parb_sink) (*C.parb_error, error)
}

// Sink is a repository as a sink: new layers are uploaded while they are compressed, and a push of an image that has
// them finds them there. The reference's tag plays no part.
func (c *Client) Sink(repository string) Sink {
	return Sink{func(a *arena, sink **C.parb_sink) (*C.parb_error, error) {
		r, err := a.reference(repository)
		if err != nil {
			return nil, err
		}
		return sinkOf(&c.h, func(p *C.parb_client) *C.parb_error { return C.parb_sink_repository(p, r, sink) })
	}}
}

// Sink is the layout as a sink: new layers are written straight into it while they are compressed, and adding an image
// that has them finds them there. They are garbage until then, but [Layout.GC] leaves them while the layer lives.
func (l *Layout) Sink() Sink {
	return Sink{func(_ *arena, sink **C.parb_sink) (*C.parb_error, error) {
		return sinkOf(&l.h, func(p *C.parb_layout) *C.parb_error { return C.parb_sink_layout(p, sink) })
	}}
}

// Sink is the cache as a sink. A layer that was written into it can be read for as long as it lives, evicted or not.
func (c *Cache) Sink() Sink {
	return Sink{func(_ *arena, sink **C.parb_sink) (*C.parb_error, error) {
		return sinkOf(&c.h, func(p *C.parb_cache) *C.parb_error { return C.parb_sink_cache(p, sink) })
	}}
}

// Sink is the store as a sink.
func (m *MemoryStore) Sink() Sink {
	return Sink{func(_ *arena, sink **C.parb_sink) (*C.parb_error, error) {
		return sinkOf(&m.h, func(p *C.parb_memory) *C.parb_error { return C.parb_sink_memory(p, sink) })
	}}
}

func sinkOf[P comparable](h *handle[P], open func(P) *C.parb_error) (*C.parb_error, error) {
	p, err := h.acquire()
	if err != nil {
		return nil, err
	}
	defer h.release()
	return open(p), nil
}

// make is the C sink; free it.
func (s Sink) make(a *arena) (*C.parb_sink, error) {
	if s.open == nil {
		return nil, newError(InvalidArgument, "the sink is none: the method Sink of a client, layout, cache or store makes one")
	}
	var sink *C.parb_sink
	e, err := s.open(a, &sink)
	if err != nil {
		return nil, err
	}
	return sink, failure(context.Background(), e)
}
