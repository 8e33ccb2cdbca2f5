package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// IndexBuilder notes changes to an index, which [IndexBuilder.Build] makes in their order. The first mistake is
// reported there. What it was given is to stay open until then. It is for one goroutine at a time.
type IndexBuilder struct {
	base    *Index
	changes []func(a *arena, builder *C.parb_index_builder)
}

// ScratchIndex is a builder of an index without a base; see [WithFormat].
func ScratchIndex() *IndexBuilder { return &IndexBuilder{} }

// Edit is a builder whose base is this index.
func (x *Index) Edit() *IndexBuilder { return &IndexBuilder{base: x} }

// AddImage adds an image. Its entry says what its config says it runs on, what annotations its manifest has, and as
// artifact type the manifest's, or else the config's media type.
func (b *IndexBuilder) AddImage(image *Image) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		lend(a, &image.h, func(p *C.parb_image) { C.parb_index_builder_add_image(c, p) })
	})
}

// AddIndex adds an index as one entry, with its annotations and artifact type.
func (b *IndexBuilder) AddIndex(index *Index) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		lend(a, &index.h, func(p *C.parb_index) { C.parb_index_builder_add_index(c, p) })
	})
}

// AddChildren adds every entry of an index, each as it stands there.
func (b *IndexBuilder) AddChildren(index *Index) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		lend(a, &index.h, func(p *C.parb_index) { C.parb_index_builder_add_children(c, p) })
	})
}

// SetEntryPlatform says what the entry added last runs on, whatever its config says; "": nothing is said.
func (b *IndexBuilder) SetEntryPlatform(platform string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_entry_platform(c, a.filled("platform", platform))
	})
}

// SetEntryAnnotation sets an annotation of the entry added last.
func (b *IndexBuilder) SetEntryAnnotation(key, value string) *IndexBuilder {
	return b.entryAnnotation(key, &value)
}

// UnsetEntryAnnotation removes an annotation of the entry added last.
func (b *IndexBuilder) UnsetEntryAnnotation(key string) *IndexBuilder {
	return b.entryAnnotation(key, nil)
}

func (b *IndexBuilder) entryAnnotation(key string, value *string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_entry_annotation(c, a.text("key", key), a.optional("value", value))
	})
}

// SetEntryURLs says where else the entry added last can be had; without URLs: nowhere.
func (b *IndexBuilder) SetEntryURLs(urls ...string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_entry_urls(c, a.list("URLs", urls))
	})
}

// SetEntryArtifactType says what kind of artifact the entry added last is the manifest of; "": nothing is said.
func (b *IndexBuilder) SetEntryArtifactType(artifactType string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_entry_artifact_type(c, a.text("artifact type", artifactType))
	})
}

// Remove takes away the entries that are meant.
func (b *IndexBuilder) Remove(which Matcher) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) { C.parb_index_builder_remove(c, which.make(a)) })
}

// Keep takes away all but the entries that are meant.
func (b *IndexBuilder) Keep(which Matcher) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) { C.parb_index_builder_keep(c, which.make(a)) })
}

// Annotate sets an annotation of the entries that are meant.
func (b *IndexBuilder) Annotate(which Matcher, key, value string) *IndexBuilder {
	return b.annotate(which, key, &value)
}

// Unannotate removes an annotation of the entries that are meant.
func (b *IndexBuilder) Unannotate(which Matcher, key string) *IndexBuilder {
	return b.annotate(which, key, nil)
}

func (b *IndexBuilder) annotate(which Matcher, key string, value *string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_annotate(c, which.make(a), a.text("key", key), a.optional("value", value))
	})
}

// Flatten puts the entries of nested indexes in the place of these indexes, however deep.
func (b *IndexBuilder) Flatten() *IndexBuilder {
	return b.change(func(_ *arena, c *C.parb_index_builder) { C.parb_index_builder_flatten(c) })
}

// SetAnnotation sets an annotation of the index.
func (b *IndexBuilder) SetAnnotation(key, value string) *IndexBuilder {
	return b.annotation(key, &value)
}

// UnsetAnnotation removes an annotation of the index.
func (b *IndexBuilder) UnsetAnnotation(key string) *IndexBuilder { return b.annotation(key, nil) }

func (b *IndexBuilder) annotation(key string, value *string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_annotation(c, a.text("key", key), a.optional("value", value))
	})
}

// SetSubject sets the manifest that the index refers to (its subject).
func (b *IndexBuilder) SetSubject(subject *Descriptor) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		lend(a, &subject.h, func(p *C.parb_descriptor) { C.parb_index_builder_set_subject(c, p) })
	})
}

// ClearSubject has the index refer to nothing any more.
func (b *IndexBuilder) ClearSubject() *IndexBuilder {
	return b.change(func(_ *arena, c *C.parb_index_builder) { C.parb_index_builder_set_subject(c, nil) })
}

// SetArtifactType says what kind of artifact the index is; "": nothing is said.
func (b *IndexBuilder) SetArtifactType(artifactType string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_artifact_type(c, a.text("artifact type", artifactType))
	})
}

// SetFormat makes it an OCI index ("oci") or a Docker manifest list ("docker"). Its entries stay as they are;
// [Index.Convert] changes them, too.
func (b *IndexBuilder) SetFormat(format string) *IndexBuilder {
	return b.change(func(a *arena, c *C.parb_index_builder) {
		C.parb_index_builder_set_format(c, a.text("format", format))
	})
}

// Build makes the index; the builder can go on and build again. Without changes it is the base itself. It moves no
// image, and reads the configs of added images only, and nested indexes where they are flattened.
func (b *IndexBuilder) Build(ctx context.Context, options ...Option) (*Index, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (*C.parb_error, error) {
		builder := b.open(&s.arena)
		defer C.parb_index_builder_free(builder)
		for _, change := range b.changes {
			change(&s.arena, builder)
		}
		if s.err != nil {
			return nil, s.err
		}
		return C.parb_index_builder_build_start(builder, s.c, bound, op), nil
	}, takeIndex, newIndex)
}

func (b *IndexBuilder) open(a *arena) (builder *C.parb_index_builder) {
	if b.base == nil {
		return C.parb_index_builder_new(nil)
	}
	lend(a, &b.base.h, func(p *C.parb_index) { builder = C.parb_index_builder_new(p) })
	return builder
}

func (b *IndexBuilder) change(change func(*arena, *C.parb_index_builder)) *IndexBuilder {
	b.changes = append(b.changes, change)
	return b
}
