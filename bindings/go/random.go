package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// RandomLayer is a layer with one file of so many random bytes, which are the same for the same seed; not compressed
// unless [WithCompression] says so.
func RandomLayer(ctx context.Context, size, seed uint64, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return C.parb_layer_random_start(C.uint64_t(size), C.uint64_t(seed), s.c, bound, op), nil
	})
}

// RandomImage is an image of so many random layers, for linux/amd64.
func RandomImage(ctx context.Context, layers int, layerSize, seed uint64, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	n := s.count("layers", layers)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_random_start(n, C.uint64_t(layerSize), C.uint64_t(seed), s.c, bound, op)
	}), takeImage, newImage)
}

// RandomIndex is an index of so many random images.
func RandomIndex(ctx context.Context, images, layers int, layerSize, seed uint64, options ...Option) (*Index, error) {
	s := newSettings(options)
	defer s.free()
	n, k := s.count("images", images), s.count("layers", layers)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_random_start(n, k, C.uint64_t(layerSize), C.uint64_t(seed), s.c, bound, op)
	}), takeIndex, newIndex)
}
