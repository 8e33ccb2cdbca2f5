package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"bytes"
	"context"
	"io"
	"io/fs"
)

// Layer is a layer: complete, and never changing.
type Layer struct {
	h handle[*C.parb_layer]
}

func newLayer(p *C.parb_layer) *Layer {
	layer := &Layer{}
	layer.h.own(p, "layer", func(p *C.parb_layer) { C.parb_layer_free(p) })
	return layer
}

func takeLayer(op *C.parb_op, out **C.parb_layer) *C.parb_error { return C.parb_op_take_layer(op, out) }

// LayerFromFile makes a layer from a file: a tar, plain or compressed with gzip or zstd; its bytes tell which, not its
// name. It is read once, compressed once if it is plain, and written into [WithSink]'s sink on the way.
func LayerFromFile(ctx context.Context, path string, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		text := s.text("path", path)
		if s.err != nil {
			return nil, s.err
		}
		return C.parb_layer_from_file_start(text, s.c, bound, op), nil
	})
}

// LayerFromDir makes a layer from a directory's content: names sorted, owner 0:0, modification time 0 or
// $SOURCE_DATE_EPOCH, so that the same content is the same layer.
func LayerFromDir(ctx context.Context, path string, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		text := s.text("path", path)
		if s.err != nil {
			return nil, s.err
		}
		return C.parb_layer_from_dir_start(text, s.c, bound, op), nil
	})
}

// LayerFromBytes makes a layer from a tar in memory, as [LayerFromFile] does from a file.
func LayerFromBytes(ctx context.Context, tar []byte, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return C.parb_layer_from_bytes_start(bytesAt(tar), C.size_t(len(tar)), s.c, bound, op), nil
	})
}

// LayerFromReader makes a layer from a stream, which is read to its end, as [LayerFromFile] does from a file. An error
// of the stream comes out as it is. A Read that hangs is not interrupted when ctx ends.
func LayerFromReader(ctx context.Context, tar io.Reader, options ...Option) (*Layer, error) {
	writer, err := NewLayerWriter(ctx, options...)
	if err != nil {
		return nil, err
	}
	defer writer.Close()
	if _, err := io.CopyBuffer(writer, tar, make([]byte, 256<<10)); err != nil {
		return nil, err
	}
	return writer.Finish(ctx)
}

func makeLayer(
	ctx context.Context,
	options []Option,
	start func(*settings, *C.parb_ctx, **C.parb_op) (*C.parb_error, error),
) (*Layer, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return start(s, bound, op)
	}, takeLayer, newLayer)
}

// Close frees the layer, and the temporary file of one that was made without a sink unless an image has it too.
func (l *Layer) Close() error {
	l.h.close()
	return nil
}

// Descriptor is media type, digest and size of the layer's blob.
func (l *Layer) Descriptor() *Descriptor {
	return get(&l.h, func(p *C.parb_layer) *Descriptor {
		return newDescriptor(C.parb_descriptor_clone(C.parb_layer_descriptor(p)))
	})
}

// DiffID is the digest of the layer's uncompressed tar: from the image's config, else by reading the layer; from memory
// the next time.
func (l *Layer) DiffID(ctx context.Context) (string, error) {
	err := do(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_diff_id_start(p, nil, bound, op)
	}))
	if err != nil {
		return "", err
	}
	p, err := l.h.acquire()
	if err != nil {
		return "", err
	}
	defer l.h.release()
	var diffID *C.char
	if e := C.parb_layer_diff_id(p, nil, nil, &diffID); e != nil {
		return "", failure(ctx, e)
	}
	return C.GoString(diffID), nil
}

// UncompressedSize is the bytes of the layer's uncompressed tar: as its maker knew, else by reading the layer; from
// memory the next time.
func (l *Layer) UncompressedSize(ctx context.Context) (uint64, error) {
	err := do(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_uncompressed_size_start(p, nil, bound, op)
	}))
	if err != nil {
		return 0, err
	}
	p, err := l.h.acquire()
	if err != nil {
		return 0, err
	}
	defer l.h.release()
	var size C.uint64_t
	if e := C.parb_layer_uncompressed_size(p, nil, nil, &size); e != nil {
		return 0, failure(ctx, e)
	}
	return uint64(size), nil
}

// Open opens the layer's bytes as they are stored. They are verified: io.EOF comes only if every byte was right. ctx
// bounds the reading too. Close the reader; that ends a Read that waits.
func (l *Layer) Open(ctx context.Context) (io.ReadCloser, error) {
	return openReader(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_open_start(p, nil, bound, op)
	}))
}

// OpenUncompressed opens the layer's tar, decompressed if it is compressed; see [Layer.Open].
func (l *Layer) OpenUncompressed(ctx context.Context) (io.ReadCloser, error) {
	return openReader(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_open_uncompressed_start(p, nil, bound, op)
	}))
}

// LayerBuilder puts a small layer together, entry by entry. Parent directories are not added by themselves. The first
// mistake is reported by [LayerBuilder.Build]. It is for one goroutine at a time.
type LayerBuilder struct {
	entries []func(a *arena, builder *C.parb_layer_builder)
}

// NewLayerBuilder is a builder without entries.
func NewLayerBuilder() *LayerBuilder { return &LayerBuilder{} }

// AddBytes adds a file with this content, which is copied. The path is relative to the root, without "..".
func (b *LayerBuilder) AddBytes(path string, mode fs.FileMode, data []byte) *LayerBuilder {
	data = bytes.Clone(data)
	return b.add(func(a *arena, c *C.parb_layer_builder) {
		C.parb_layer_builder_add_bytes(c, a.text("path", path), C.uint32_t(unixMode(mode)), bytesAt(data), C.size_t(len(data)))
	})
}

// AddPath adds a local file, directory (with all that is in it) or symbolic link under a name of its own. It is read
// when the layer is built.
func (b *LayerBuilder) AddPath(local, path string) *LayerBuilder {
	return b.add(func(a *arena, c *C.parb_layer_builder) {
		C.parb_layer_builder_add_path(c, a.text("local path", local), a.text("path", path))
	})
}

// AddSymlink adds a symbolic link.
func (b *LayerBuilder) AddSymlink(path, target string) *LayerBuilder {
	return b.add(func(a *arena, c *C.parb_layer_builder) {
		C.parb_layer_builder_add_symlink(c, a.text("path", path), a.text("target", target))
	})
}

// Remove removes what the layers below have under this name (a whiteout).
func (b *LayerBuilder) Remove(path string) *LayerBuilder {
	return b.add(func(a *arena, c *C.parb_layer_builder) {
		C.parb_layer_builder_remove(c, a.text("path", path))
	})
}

// Build makes the layer, with its entries in the order they were added. The builder can go on and build again.
func (b *LayerBuilder) Build(ctx context.Context, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		builder := C.parb_layer_builder_new()
		defer C.parb_layer_builder_free(builder)
		for _, entry := range b.entries {
			entry(&s.arena, builder)
		}
		if s.err != nil {
			return nil, s.err
		}
		return C.parb_layer_builder_build_start(builder, s.c, bound, op), nil
	})
}

func (b *LayerBuilder) add(entry func(*arena, *C.parb_layer_builder)) *LayerBuilder {
	b.entries = append(b.entries, entry)
	return b
}

// unixMode is the mode as chmod counts it. Bits that mean something else stay out of range, for the library to refuse.
func unixMode(mode fs.FileMode) uint32 {
	unix := uint32(mode &^ (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky))
	if mode&fs.ModeSetuid != 0 {
		unix |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		unix |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		unix |= 0o1000
	}
	return unix
}
