package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// Layout is an OCI image layout: images and indexes in a directory. Several processes may work in one at once;
// index.json is read anew by each call.
type Layout struct {
	h handle[*C.parb_layout]
}

func newLayout(p *C.parb_layout) *Layout {
	layout := &Layout{}
	layout.h.own(p, "layout", func(p *C.parb_layout) { C.parb_layout_free(p) })
	return layout
}

func takeLayout(op *C.parb_op, out **C.parb_layout) *C.parb_error {
	return C.parb_op_take_layout(op, out)
}

// OpenLayout opens a layout that is there.
func OpenLayout(ctx context.Context, path string) (*Layout, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("path", path)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_open_start(text, s.c, bound, op)
	}), takeLayout, newLayout)
}

// CreateLayout opens a layout, or makes one without entries where there is none, with the directories above it.
func CreateLayout(ctx context.Context, path string, options ...Option) (*Layout, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", path)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_create_start(text, s.c, bound, op)
	}), takeLayout, newLayout)
}

// Close frees the layout. The directory stays, and what was got from it lives on.
func (l *Layout) Close() error {
	l.h.close()
	return nil
}

// Path is the directory, as it was given.
func (l *Layout) Path() string {
	return get(&l.h, func(p *C.parb_layout) string { return C.GoString(C.parb_layout_path(p)) })
}

// Index is index.json as it is now: its entries, and the images and indexes they name.
func (l *Layout) Index(ctx context.Context) (*Index, error) {
	return call(ctx, &settings{}, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_index_start(p, nil, bound, op)
	}), takeIndex, newIndex)
}

// Image is an image of the layout: which is its name, its digest or its platform, or "" for the only one there is.
// Where an index is meant, it is the index's image for [WithPlatform] (linux/amd64 without it).
func (l *Layout) Image(ctx context.Context, which string, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.filled("name", which)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_image_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Child is a nested index of the layout: which is its name or digest, or "" for the only one there is.
func (l *Layout) Child(ctx context.Context, which string) (*Index, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.filled("name", which)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_child_start(p, text, s.c, bound, op)
	}), takeIndex, newIndex)
}

// AddImage puts an image into the layout: the blobs it lacks, then an entry with this name, or none where it is "",
// unless one of the same digest and name is there. It gives the entry.
func (l *Layout) AddImage(ctx context.Context, image *Image, name string, options ...Option) (*Descriptor, error) {
	s := newSettings(options)
	defer s.free()
	added, text := s.image(image), s.filled("name", name)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_add_image_start(p, added, text, s.c, bound, op)
	}), takeDescriptor, newDescriptor)
}

// AddIndex puts an index and everything below it into the layout, as [Layout.AddImage] does an image.
func (l *Layout) AddIndex(ctx context.Context, index *Index, name string, options ...Option) (*Descriptor, error) {
	s := newSettings(options)
	defer s.free()
	added, text := s.index(index), s.filled("name", name)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_add_index_start(p, added, text, s.c, bound, op)
	}), takeDescriptor, newDescriptor)
}

// ReplaceImage is [Layout.AddImage] in the place of the entries with this name or, without a name, with this digest:
// they go, and their blobs stay until [Layout.GC].
func (l *Layout) ReplaceImage(ctx context.Context, image *Image, name string, options ...Option) (*Descriptor, error) {
	s := newSettings(options)
	defer s.free()
	added, text := s.image(image), s.filled("name", name)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_replace_image_start(p, added, text, s.c, bound, op)
	}), takeDescriptor, newDescriptor)
}

// ReplaceIndex is [Layout.AddIndex] as [Layout.ReplaceImage] is [Layout.AddImage].
func (l *Layout) ReplaceIndex(ctx context.Context, index *Index, name string, options ...Option) (*Descriptor, error) {
	s := newSettings(options)
	defer s.free()
	added, text := s.index(index), s.filled("name", name)
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_replace_index_start(p, added, text, s.c, bound, op)
	}), takeDescriptor, newDescriptor)
}

// Remove takes the entries that are meant out of index.json, and gives their digests. Their blobs stay until
// [Layout.GC].
func (l *Layout) Remove(ctx context.Context, which Matcher, options ...Option) ([]string, error) {
	s := newSettings(options)
	defer s.free()
	matcher := which.make(&s.arena)
	return list(call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_remove_start(p, matcher, s.c, bound, op)
	}), takeStrings, newStrings))
}

// Annotate sets an annotation of the entries that are meant. That there are none is [NotFound].
func (l *Layout) Annotate(ctx context.Context, which Matcher, key, value string, options ...Option) error {
	return l.annotate(ctx, which, key, &value, options)
}

// Unannotate removes an annotation of the entries that are meant. That there are none is [NotFound].
func (l *Layout) Unannotate(ctx context.Context, which Matcher, key string, options ...Option) error {
	return l.annotate(ctx, which, key, nil, options)
}

func (l *Layout) annotate(ctx context.Context, which Matcher, key string, value *string, options []Option) error {
	s := newSettings(options)
	defer s.free()
	matcher, k, v := which.make(&s.arena), s.text("key", key), s.optional("value", value)
	return do(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_annotate_start(p, matcher, k, v, s.c, bound, op)
	}))
}

// GC removes the blobs that nothing in index.json leads to, and what killed writers left. It gives the digests and
// paths of what was removed. It waits until nobody puts blobs any more; programs other than this library don't know its
// locks, so it is not for while they write.
func (l *Layout) GC(ctx context.Context) ([]string, error) {
	return list(call(ctx, &settings{}, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_gc_start(p, nil, bound, op)
	}), takeStrings, newStrings))
}

// Fsck reads every file of the layout and reports what is wrong. Garbage is no damage.
func (l *Layout) Fsck(ctx context.Context, options ...Option) (*Report, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&l.h, func(p *C.parb_layout, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layout_fsck_start(p, s.c, bound, op)
	}), takeReport, newReport)
}
