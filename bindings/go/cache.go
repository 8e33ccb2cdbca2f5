package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"encoding/json"
)

// Cache keeps blobs in a directory, which any number of processes may use at once. Every blob is checked against its
// digest before it is given; a wrong one is removed and read from its origin.
type Cache struct {
	h handle[*C.parb_cache]
}

func newCache(p *C.parb_cache) *Cache {
	cache := &Cache{}
	cache.h.own(p, "cache", func(p *C.parb_cache) { C.parb_cache_free(p) })
	return cache
}

// OpenCache opens the cache in a directory, or makes it, for its owner alone. Of what takes more than so many bytes,
// what has not been used for longest goes. [WithUncompressed] keeps layers decompressed, too.
func OpenCache(ctx context.Context, dir string, maxBytes uint64, options ...Option) (*Cache, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", dir)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_cache_open_start(text, C.uint64_t(maxBytes), s.c, bound, op)
	}), func(op *C.parb_op, out **C.parb_cache) *C.parb_error { return C.parb_op_take_cache(op, out) }, newCache)
}

// Close frees the cache. Its directory stays, and so does what values read through it need.
func (c *Cache) Close() error {
	c.h.close()
	return nil
}

// Size is how many bytes are kept. After a process was killed it may be too many, until the next eviction counts anew.
func (c *Cache) Size() uint64 {
	return get(&c.h, func(p *C.parb_cache) uint64 { return uint64(C.parb_cache_size(p)) })
}

// CacheStats is what a cache has done since it was opened.
type CacheStats struct {
	Hits    uint64 `json:"hits"`
	Misses  uint64 `json:"misses"`
	Corrupt uint64 `json:"corrupt"` // blobs that were not what they should be
	Stored  uint64 `json:"stored"`
	Evicted uint64 `json:"evicted"`
	Failed  uint64 `json:"failed"` // blobs that could not be stored
}

// Stats tells what the cache has done since it was opened.
func (c *Cache) Stats() (CacheStats, error) {
	var stats CacheStats
	p, err := c.h.acquire()
	if err != nil {
		return stats, err
	}
	defer c.h.release()
	var buf *C.parb_buf
	if e := C.parb_cache_stats(p, &buf); e != nil {
		return stats, failure(context.Background(), e)
	}
	err = json.Unmarshal(goBuf(buf), &stats)
	return stats, err
}

// Clear removes everything. What is being read can be read to its end.
func (c *Cache) Clear(ctx context.Context) error {
	return do(ctx, &settings{}, on(&c.h, func(p *C.parb_cache, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_cache_clear_start(p, nil, bound, op)
	}))
}

// Remove removes one blob.
func (c *Cache) Remove(ctx context.Context, digest string) error {
	s := newSettings(nil)
	defer s.free()
	text := s.text("digest", digest)
	return do(ctx, s, on(&c.h, func(p *C.parb_cache, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_cache_remove_start(p, text, s.c, bound, op)
	}))
}

// Verify reads everything and reports what is not as it should be. It changes nothing.
func (c *Cache) Verify(ctx context.Context, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&c.h, func(p *C.parb_cache, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_cache_verify_start(p, s.c, bound, op)
	}), takeReport, newReport)
}

// Cached is the same image, its config and layers read through a cache. Nothing is read yet.
func (i *Image) Cached(cache *Cache) (*Image, error) {
	return through(cache, func(a *arena) *C.parb_image { return a.image(i) },
		func(p *C.parb_image, c *C.parb_cache, out **C.parb_image) *C.parb_error {
			return C.parb_image_cached(p, c, out)
		}, newImage)
}

// Cached is the same index; all that is below it is read through a cache. Nothing is read yet.
func (x *Index) Cached(cache *Cache) (*Index, error) {
	return through(cache, func(a *arena) *C.parb_index { return a.index(x) },
		func(p *C.parb_index, c *C.parb_cache, out **C.parb_index) *C.parb_error {
			return C.parb_index_cached(p, c, out)
		}, newIndex)
}

// Cached is the same layer, read through a cache. Nothing is read yet.
func (l *Layer) Cached(cache *Cache) (*Layer, error) {
	return through(cache, func(a *arena) *C.parb_layer { return a.layer(l) },
		func(p *C.parb_layer, c *C.parb_cache, out **C.parb_layer) *C.parb_error {
			return C.parb_layer_cached(p, c, out)
		}, newLayer)
}

func through[P comparable, T any](
	cache *Cache,
	of func(*arena) P,
	cached func(P, *C.parb_cache, *P) *C.parb_error,
	wrap func(P) *T,
) (*T, error) {
	var a arena
	defer a.free()
	p := of(&a)
	if a.err != nil {
		return nil, a.err
	}
	c, err := cache.h.acquire()
	if err != nil {
		return nil, err
	}
	defer cache.h.release()
	var out P
	if e := cached(p, c, &out); e != nil {
		return nil, failure(context.Background(), e)
	}
	return wrap(out), nil
}
