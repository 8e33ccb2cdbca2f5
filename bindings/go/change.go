package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"time"
)

// Recompress is the image with every layer compressed as [WithCompression] says, or plain layers as gzip without it.
// The diff ids, and with them the config, stay. Layers that are compressed so already are kept, unless a level is asked
// for.
func (i *Image) Recompress(ctx context.Context, options ...Option) (*Image, error) {
	return changed(ctx, i, options, func(s *settings, p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_recompress_start(p, s.c, bound, op)
	})
}

// WithTime is the image with one time everywhere: in every entry of every layer, in the config and in its history. All
// else stays. The zero time is 1970 in the layers.
func (i *Image) WithTime(ctx context.Context, at time.Time, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("time", rfc3339(at))
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_with_time_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Canonical is [Image.WithTime] with the zero time; the config's container, docker_version and Hostname are removed as
// well, so that builds that differ only in when and where they ran give one digest.
func (i *Image) Canonical(ctx context.Context, options ...Option) (*Image, error) {
	return changed(ctx, i, options, func(s *settings, p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_canonical_start(p, s.c, bound, op)
	})
}

// Rebase is the image on another base: layers and history of the old base, which must be the image's lowest layers,
// give way to the new one's. No layer is moved. The name is what the new base is called in the annotations; "": as it
// is.
func (i *Image) Rebase(ctx context.Context, oldBase, newBase *Image, name string) (*Image, error) {
	s := newSettings(nil)
	defer s.free()
	from, to, text := s.image(oldBase), s.image(newBase), s.filled("name", name)
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_rebase_start(p, from, to, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Rebase is [Image.Rebase] for every image of the index, with the images of the bases for its platform. What is no
// image stays; attestations of images that changed are left out, as they no longer hold.
func (x *Index) Rebase(ctx context.Context, oldBase, newBase *Index, name string) (*Index, error) {
	s := newSettings(nil)
	defer s.free()
	from, to, text := s.index(oldBase), s.index(newBase), s.filled("name", name)
	return call(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_rebase_start(p, from, to, text, s.c, bound, op)
	}), takeIndex, newIndex)
}

// Convert is the image in the media types of "docker" or "oci": manifest, config and layers. No blob changes.
func (i *Image) Convert(ctx context.Context, format string) (*Image, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("format", format)
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_convert_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Convert is [Image.Convert] for the index, and for all images and indexes below it.
func (x *Index) Convert(ctx context.Context, format string) (*Index, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("format", format)
	return call(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_convert_start(p, text, s.c, bound, op)
	}), takeIndex, newIndex)
}

// ForWindows is the layer in the form that Windows images want: everything below Files/, beside an empty Hives/, with
// the owner that Windows needs.
func (l *Layer) ForWindows(ctx context.Context, options ...Option) (*Layer, error) {
	return makeLayer(ctx, options, func(s *settings, bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		return on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
			return C.parb_layer_for_windows_start(p, s.c, bound, op)
		})(bound, op)
	})
}

// EditFile is the image with another content of one file, which is a layer on top. Mode and owner of the file that was
// there stay; a new one is 0644 and root's. The path is one from the root.
func (i *Image) EditFile(ctx context.Context, path string, data []byte, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", path)
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_edit_file_start(p, text, bytesAt(data), C.size_t(len(data)), s.c, bound, op)
	}), takeImage, newImage)
}

// RemoveFile is the image without a file, or without a directory and all that is in it, by a layer on top that hides
// it.
func (i *Image) RemoveFile(ctx context.Context, path string, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", path)
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_remove_file_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

func changed(
	ctx context.Context,
	i *Image,
	options []Option,
	start func(*settings, *C.parb_image, *C.parb_ctx, **C.parb_op) *C.parb_error,
) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return start(s, p, bound, op)
	}), takeImage, newImage)
}

// rfc3339 is a time as the library reads it.
func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
