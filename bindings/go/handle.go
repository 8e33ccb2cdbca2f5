package parbuckle

import (
	"runtime"
	"sync"
)

// handle owns one C handle. Whoever uses the pointer holds the lock for reading, so that nothing frees it meanwhile;
// the calls made under it are short, since those that wait are only started there.
type handle[P comparable] struct {
	mu   sync.RWMutex
	p    P
	name string
	free func(P)
	net  runtime.Cleanup
}

// own takes over a C handle. It has to be called on the handle's final place.
func (h *handle[P]) own(p P, name string, free func(P)) {
	h.p, h.name, h.free = p, name, free
	h.net = runtime.AddCleanup(h, free, p)
}

// acquire lends the pointer until release.
func (h *handle[P]) acquire() (P, error) {
	h.mu.RLock()
	var none P
	if h.p == none {
		h.mu.RUnlock()
		name := h.name
		if name == "" {
			name = "value"
		}
		return none, newError(InvalidState, "the "+name+" is closed")
	}
	return h.p, nil
}

func (h *handle[P]) release() {
	h.mu.RUnlock()
	runtime.KeepAlive(h)
}

// close frees the C handle once nobody uses it; doing it again is fine.
func (h *handle[P]) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	var none P
	if h.p != none {
		h.net.Stop()
		h.free(h.p)
		h.p = none
	}
}

// get asks a C handle for something that can't fail; the zero value once it is closed.
func get[P comparable, T any](h *handle[P], ask func(P) T) (answer T) {
	p, err := h.acquire()
	if err != nil {
		return answer
	}
	defer h.release()
	return ask(p)
}
