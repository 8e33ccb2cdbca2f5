package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// MemoryStore keeps images and indexes in memory.
type MemoryStore struct {
	h handle[*C.parb_memory]
}

// NewMemoryStore is an empty store for at most so many bytes of manifests and blobs.
func NewMemoryStore(maxBytes uint64) (*MemoryStore, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	var p *C.parb_memory
	if e := C.parb_memory_new(C.uint64_t(maxBytes), &p); e != nil {
		return nil, failure(context.Background(), e)
	}
	store := &MemoryStore{}
	store.h.own(p, "store", func(p *C.parb_memory) { C.parb_memory_free(p) })
	return store, nil
}

// Close frees the store. Values that were had from it keep what they need.
func (m *MemoryStore) Close() error {
	m.h.close()
	return nil
}

// PutImage takes an image in with all of its blobs, under a name that another one may have had; "": it is found by its
// digest alone. That there is no room is [LimitExceeded].
func (m *MemoryStore) PutImage(ctx context.Context, image *Image, name string, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	put, text := s.image(image), s.filled("name", name)
	return do(ctx, s, on(&m.h, func(p *C.parb_memory, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_memory_put_image_start(p, text, put, s.c, bound, op)
	}))
}

// PutIndex takes an index in with all that is below it, as [MemoryStore.PutImage] does an image.
func (m *MemoryStore) PutIndex(ctx context.Context, index *Index, name string, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	put, text := s.index(index), s.filled("name", name)
	return do(ctx, s, on(&m.h, func(p *C.parb_memory, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_memory_put_index_start(p, text, put, s.c, bound, op)
	}))
}

// Image is the image with this name or digest; of an index, the one for [WithPlatform].
func (m *MemoryStore) Image(ctx context.Context, which string, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("name", which)
	return call(ctx, s, on(&m.h, func(p *C.parb_memory, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_memory_image_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Index is the index with this name or digest.
func (m *MemoryStore) Index(ctx context.Context, which string) (*Index, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("name", which)
	return call(ctx, s, on(&m.h, func(p *C.parb_memory, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_memory_index_start(p, text, s.c, bound, op)
	}), takeIndex, newIndex)
}

// Remove takes a name away, or an image or index by its digest with all its names. What nothing names any more is gone.
func (m *MemoryStore) Remove(which string) error {
	var a arena
	defer a.free()
	text := a.text("name", which)
	if a.err != nil {
		return a.err
	}
	p, err := m.h.acquire()
	if err != nil {
		return err
	}
	defer m.h.release()
	return failure(context.Background(), C.parb_memory_remove(p, text))
}

// Names are all names, sorted.
func (m *MemoryStore) Names() []string {
	return get(&m.h, func(p *C.parb_memory) []string {
		var names *C.parb_strings
		if e := C.parb_memory_names(p, &names); e != nil {
			panic(failure(context.Background(), e)) // it fails without a store only
		}
		return *newStrings(names)
	})
}

// Size is how many bytes are in the store.
func (m *MemoryStore) Size() uint64 {
	return get(&m.h, func(p *C.parb_memory) uint64 { return uint64(C.parb_memory_size(p)) })
}
