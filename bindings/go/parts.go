package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"io"
)

// BlobOpener opens a blob, by its digest most likely. The stream is closed when it is read, or not needed any more.
// That there is no such blob is [NotFound], or what is [io/fs.ErrNotExist]. It is called on many goroutines at once.
// Its errors are found (errors.Is, errors.As) in those of the calls that wanted the blob.
type BlobOpener func(ctx context.Context, blob *Descriptor) (io.ReadCloser, error)

// Parts are the blobs and manifests that images, indexes and layers are made of: bytes, values, and a function that
// opens the others when they are read.
type Parts struct {
	Bytes   [][]byte   // configs, manifests or other blobs, found by their digests
	Layers  []*Layer   // wherever their bytes lie
	Images  []*Image   // their manifests, configs and layers
	Indexes []*Index   // with all that is below them
	Open    BlobOpener // opens every other blob; what comes is verified as from anywhere

	// Exists is asked where only that is of interest. Without it blobs are opened to find out.
	Exists func(ctx context.Context, blob *Descriptor) (bool, error)
}

// ImageFromParts is an image of its manifest; config and layers are among the parts, or opened when they are read. The
// functions of parts are given ctx, for as long as the image lives. If they refer to the image themselves, the
// collector can't free it, and it is to be closed.
func ImageFromParts(ctx context.Context, manifest []byte, parts Parts) (*Image, error) {
	return assemble(ctx, parts, func(_ *arena, blobs *C.parb_blobs, out **C.parb_image) *C.parb_error {
		return C.parb_image_from_parts(bytesAt(manifest), C.size_t(len(manifest)), blobs, nil, out)
	}, newImage)
}

// IndexFromParts is an index of its document, as [ImageFromParts] is an image.
func IndexFromParts(ctx context.Context, index []byte, parts Parts) (*Index, error) {
	return assemble(ctx, parts, func(_ *arena, blobs *C.parb_blobs, out **C.parb_index) *C.parb_error {
		return C.parb_index_from_parts(bytesAt(index), C.size_t(len(index)), blobs, nil, out)
	}, newIndex)
}

// LayerFacts is what is known of a layer.
type LayerFacts struct {
	MediaType, Digest string
	Size              uint64

	DiffID           string // the digest of its uncompressed tar; "": found out by reading it, when it is asked for
	UncompressedSize int64  // bytes of that tar; 0: found out by reading it, when it is asked for
}

// LayerFromParts is a layer whose bytes are among the parts, or opened when they are read, as of [ImageFromParts].
func LayerFromParts(ctx context.Context, facts LayerFacts, parts Parts) (*Layer, error) {
	size := facts.UncompressedSize
	if size == 0 {
		size = -1
	}
	return assemble(ctx, parts, func(a *arena, blobs *C.parb_blobs, out **C.parb_layer) *C.parb_error {
		mediaType, digest := a.text("media type", facts.MediaType), a.text("digest", facts.Digest)
		diffID := a.filled("diff id", facts.DiffID)
		if a.err != nil {
			return nil
		}
		return C.parb_layer_from_parts(mediaType, digest, C.uint64_t(facts.Size), diffID, C.int64_t(size), blobs, nil, out)
	}, newLayer)
}

func assemble[P, T any](
	ctx context.Context,
	parts Parts,
	from func(*arena, *C.parb_blobs, *P) *C.parb_error,
	wrap func(P) *T,
) (*T, error) {
	return atOnce(nil, func(s *settings, out *P) *C.parb_error {
		blobs := parts.make(ctx, &s.arena)
		defer C.parb_blobs_free(blobs)
		if s.err != nil {
			return nil
		}
		return from(&s.arena, blobs, out)
	}, wrap)
}

// make is the C blobs; free them.
func (p Parts) make(ctx context.Context, a *arena) *C.parb_blobs {
	blobs := C.parb_blobs_new()
	for _, data := range p.Bytes {
		C.parb_blobs_add_bytes(blobs, bytesAt(data), C.size_t(len(data)))
	}
	for _, layer := range p.Layers {
		lend(a, &layer.h, func(p *C.parb_layer) { C.parb_blobs_add_layer(blobs, p) })
	}
	for _, image := range p.Images {
		lend(a, &image.h, func(p *C.parb_image) { C.parb_blobs_add_image(blobs, p) })
	}
	for _, index := range p.Indexes {
		lend(a, &index.h, func(p *C.parb_index) { C.parb_blobs_add_index(blobs, p) })
	}
	switch {
	case p.Open != nil:
		(&opener{ctx, p.Open, p.Exists}).lendTo(blobs)
	case p.Exists != nil:
		a.fail(newError(InvalidArgument, "parts have Exists and no Open"))
	}
	return blobs
}

// FixedLayer is a layer of these very bytes, which are copied, whatever they are.
func FixedLayer(data []byte, mediaType string) (*Layer, error) {
	return atOnce(nil, func(s *settings, out **C.parb_layer) *C.parb_error {
		text := s.text("media type", mediaType)
		if s.err != nil {
			return nil
		}
		return C.parb_layer_fixed(bytesAt(data), C.size_t(len(data)), text, nil, out)
	}, newLayer)
}

// EmptyImage is an image of no layers.
func EmptyImage(options ...Option) (*Image, error) {
	return atOnce(options, func(s *settings, out **C.parb_image) *C.parb_error { return C.parb_image_empty(s.c, out) }, newImage)
}

// EmptyIndex is an index of nothing.
func EmptyIndex(options ...Option) (*Index, error) {
	return atOnce(options, func(s *settings, out **C.parb_index) *C.parb_error { return C.parb_index_empty(s.c, out) }, newIndex)
}

// atOnce makes a value without waiting.
func atOnce[P, T any](options []Option, from func(*settings, *P) *C.parb_error, wrap func(P) *T) (*T, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	s := newSettings(options)
	defer s.free()
	if s.err != nil {
		return nil, s.err
	}
	var p P
	e := from(s, &p)
	if s.err != nil {
		return nil, s.err
	}
	if e != nil {
		return nil, failure(context.Background(), e)
	}
	return wrap(p), nil
}

// ImageFromConfig is an image of its config, which stays byte for byte, and its layers; the manifest is made for them.
func ImageFromConfig(ctx context.Context, config []byte, layers []*Layer, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	list := make([]*C.parb_layer, len(layers)+1) // one more, so that there is a first
	for i, layer := range layers {
		list[i] = s.layer(layer)
	}
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_from_config_start(bytesAt(config), C.size_t(len(config)), &list[0], C.size_t(len(layers)), s.c, bound, op)
	}), takeImage, newImage)
}
