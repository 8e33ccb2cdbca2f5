package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"iter"
)

// Image is an image. It never changes; [Image.Edit] makes new ones from it.
type Image struct {
	h handle[*C.parb_image]
}

func newImage(p *C.parb_image) *Image {
	image := &Image{}
	image.h.own(p, "image", func(p *C.parb_image) { C.parb_image_free(p) })
	return image
}

func takeImage(op *C.parb_op, out **C.parb_image) *C.parb_error { return C.parb_op_take_image(op, out) }

// Close frees the image; what was got from it lives on.
func (i *Image) Close() error {
	i.h.close()
	return nil
}

// Descriptor is media type, digest and size of the manifest.
func (i *Image) Descriptor() *Descriptor {
	return get(&i.h, func(p *C.parb_image) *Descriptor {
		return newDescriptor(C.parb_descriptor_clone(C.parb_image_descriptor(p)))
	})
}

// Digest is the digest of the manifest.
func (i *Image) Digest() string {
	return get(&i.h, func(p *C.parb_image) string { return C.GoString(C.parb_image_digest(p)) })
}

// MediaType is the media type of the manifest.
func (i *Image) MediaType() string {
	return get(&i.h, func(p *C.parb_image) string { return C.GoString(C.parb_image_media_type(p)) })
}

// Manifest is a copy of the manifest's exact bytes.
func (i *Image) Manifest() []byte {
	return get(&i.h, func(p *C.parb_image) []byte {
		var n C.size_t
		data := C.parb_image_manifest(p, &n)
		return goBytes(data, n)
	})
}

// Annotations are the manifest's annotations, possibly none.
func (i *Image) Annotations() map[string]string {
	return get(&i.h, func(p *C.parb_image) map[string]string { return goMap(C.parb_image_annotations(p)) })
}

// Layers are the image's layers, base first. Nothing is read yet.
func (i *Image) Layers() []*Layer {
	return get(&i.h, func(p *C.parb_image) []*Layer {
		layers := make([]*Layer, int(C.parb_image_layer_count(p)))
		for n := range layers {
			var layer *C.parb_layer
			if e := C.parb_image_layer_at(p, C.size_t(n), &layer); e != nil {
				panic(failure(context.Background(), e)) // it fails past the end only
			}
			layers[n] = newLayer(layer)
		}
		return layers
	})
}

// Config is the image's config: from the network the first time, from memory afterwards.
func (i *Image) Config(ctx context.Context) (*Config, error) {
	return call(ctx, &settings{}, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_config_start(p, nil, bound, op)
	}), takeConfig, newConfig)
}

// Validate reads every blob of the image to its end and checks sizes, digests and diff ids.
func (i *Image) Validate(ctx context.Context, options ...Option) error {
	s, err := newSettings(options)
	if err != nil {
		return err
	}
	defer s.free()
	return do(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_validate_start(p, s.c, bound, op)
	}))
}

// Index is an index: images by platform, or other indexes. It never changes.
type Index struct {
	h handle[*C.parb_index]
}

func newIndex(p *C.parb_index) *Index {
	index := &Index{}
	index.h.own(p, "index", func(p *C.parb_index) { C.parb_index_free(p) })
	return index
}

func takeIndex(op *C.parb_op, out **C.parb_index) *C.parb_error { return C.parb_op_take_index(op, out) }

// Close frees the index; what was got from it lives on.
func (x *Index) Close() error {
	x.h.close()
	return nil
}

// Descriptor is media type, digest and size of the index.
func (x *Index) Descriptor() *Descriptor {
	return get(&x.h, func(p *C.parb_index) *Descriptor {
		return newDescriptor(C.parb_descriptor_clone(C.parb_index_descriptor(p)))
	})
}

// Digest is the digest of the index.
func (x *Index) Digest() string {
	return get(&x.h, func(p *C.parb_index) string {
		return C.GoString(C.parb_descriptor_digest(C.parb_index_descriptor(p)))
	})
}

// Manifest is a copy of the index's exact bytes.
func (x *Index) Manifest() []byte {
	return get(&x.h, func(p *C.parb_index) []byte {
		var n C.size_t
		data := C.parb_index_manifest(p, &n)
		return goBytes(data, n)
	})
}

// Annotations are the index's annotations, possibly none.
func (x *Index) Annotations() map[string]string {
	return get(&x.h, func(p *C.parb_index) map[string]string { return goMap(C.parb_index_annotations(p)) })
}

// Len is how many manifests the index names.
func (x *Index) Len() int {
	return get(&x.h, func(p *C.parb_index) int { return int(C.parb_index_count(p)) })
}

// Manifests goes through what the index names.
func (x *Index) Manifests() iter.Seq[*Descriptor] {
	return func(yield func(*Descriptor) bool) {
		for n := 0; ; n++ {
			descriptor := get(&x.h, func(p *C.parb_index) *Descriptor {
				return newDescriptor(C.parb_descriptor_clone(C.parb_index_at(p, C.size_t(n))))
			})
			if descriptor == nil || !yield(descriptor) {
				return
			}
		}
	}
}

// Image is the image with this digest, or the best one for this platform.
func (x *Index) Image(ctx context.Context, digestOrPlatform string) (*Image, error) {
	return below(ctx, x, digestOrPlatform, func(p *C.parb_index, text *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_image_start(p, text, nil, bound, op)
	}, takeImage, newImage)
}

// Child is the nested index with this digest.
func (x *Index) Child(ctx context.Context, digest string) (*Index, error) {
	return below(ctx, x, digest, func(p *C.parb_index, text *C.char, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_child_start(p, text, nil, bound, op)
	}, takeIndex, newIndex)
}

func below[P, T any](
	ctx context.Context,
	x *Index,
	which string,
	start func(*C.parb_index, *C.char, *C.parb_ctx, **C.parb_op) *C.parb_error,
	take func(*C.parb_op, *P) *C.parb_error,
	wrap func(P) *T,
) (*T, error) {
	var a arena
	defer a.free()
	text := a.text("digest or platform", which)
	if a.err != nil {
		return nil, a.err
	}
	return call(ctx, &settings{}, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return start(p, text, bound, op)
	}), take, wrap)
}
