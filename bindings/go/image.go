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

// clone is the same image, with a life of its own.
func (i *Image) clone() (*Image, error) {
	p, err := i.h.acquire()
	if err != nil {
		return nil, err
	}
	defer i.h.release()
	return newImage(C.parb_image_clone(p)), nil
}

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

// ArtifactType is what kind of artifact the image is: what its manifest says, else the media type of its config.
func (i *Image) ArtifactType() string {
	return get(&i.h, func(p *C.parb_image) string { return C.GoString(C.parb_image_artifact_type(p)) })
}

// Size is the bytes of manifest, config and layers together.
func (i *Image) Size() uint64 {
	return get(&i.h, func(p *C.parb_image) uint64 { return uint64(C.parb_image_size(p)) })
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

// Platforms are the platforms that the index's entries name, each once.
func (x *Index) Platforms() []string {
	return get(&x.h, func(p *C.parb_index) []string {
		var platforms *C.parb_strings
		if e := C.parb_index_platforms(p, &platforms); e != nil {
			panic(failure(context.Background(), e)) // it fails without an index only
		}
		return *newStrings(platforms)
	})
}

// Find gives the digests of the entries that are meant, in their order. Nested indexes are not looked into.
func (x *Index) Find(which Matcher) ([]string, error) {
	var a arena
	defer a.free()
	matcher := which.make(&a)
	if a.err != nil {
		return nil, a.err
	}
	p, err := x.h.acquire()
	if err != nil {
		return nil, err
	}
	defer x.h.release()
	var digests *C.parb_strings
	if e := C.parb_index_find(p, matcher, &digests); e != nil {
		return nil, failure(context.Background(), e)
	}
	return *newStrings(digests), nil
}

// Size is the bytes of the index and of everything below it, each manifest and blob counted once. It reads the
// manifests the first time, and answers from memory afterwards.
func (x *Index) Size(ctx context.Context) (uint64, error) {
	err := do(ctx, &settings{}, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_size_start(p, nil, bound, op)
	}))
	if err != nil {
		return 0, err
	}
	p, err := x.h.acquire()
	if err != nil {
		return 0, err
	}
	defer x.h.release()
	var size C.uint64_t
	if e := C.parb_index_size(p, nil, nil, &size); e != nil {
		return 0, failure(ctx, e)
	}
	return uint64(size), nil
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
