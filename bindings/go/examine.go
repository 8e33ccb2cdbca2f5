package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// Validate reads every blob of the image to its end and checks all that [Image.Examine] does. It ends with the first
// thing that is wrong.
func (i *Image) Validate(ctx context.Context, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	return do(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_validate_start(p, s.c, bound, op)
	}))
}

// Validate is [Image.Validate] for the index and everything below it.
func (x *Index) Validate(ctx context.Context, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	return do(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_validate_start(p, s.c, bound, op)
	}))
}

// Validate reads the layer to its end and checks digest, size, diff id, media type and tar.
func (l *Layer) Validate(ctx context.Context) error {
	return do(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_validate_start(p, nil, bound, op)
	}))
}

// Examine reports everything that is wrong with the image: digests, sizes and diff ids of all blobs, media types that
// say otherwise than the bytes, paths that come twice in one layer, what config, history and manifest say of each
// other. Every blob is read, but with [WithFast] only the config.
func (i *Image) Examine(ctx context.Context, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_examine_start(p, s.c, bound, op)
	}), takeReport, newReport)
}

// Examine is [Image.Examine] for the index and everything below it, and whether its entries say what the images are.
func (x *Index) Examine(ctx context.Context, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_examine_start(p, s.c, bound, op)
	}), takeReport, newReport)
}

// Compare reports every difference to another image, in manifests, configs and layers. The findings' code is
// [DigestMismatch], and their subject the field. With [WithFiles], layers that differ are compared file by file.
func (i *Image) Compare(ctx context.Context, other *Image, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	o := s.image(other)
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_compare_start(p, o, s.c, bound, op)
	}), takeReport, newReport)
}

// Compare reports every difference to another index, and between the images below them of the same platform or place,
// as [Image.Compare] does.
func (x *Index) Compare(ctx context.Context, other *Index, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	o := s.index(other)
	return call(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_compare_start(p, o, s.c, bound, op)
	}), takeReport, newReport)
}

// Compare reports every difference to another layer, as [Image.Compare] does.
func (l *Layer) Compare(ctx context.Context, other *Layer, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	o := s.layer(other)
	return call(ctx, s, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_compare_start(p, o, s.c, bound, op)
	}), takeReport, newReport)
}
