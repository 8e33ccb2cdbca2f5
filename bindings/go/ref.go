package parbuckle

// #include <parbuckle.h>
import "C"

import "context"

// Ref is a parsed reference, with the defaults filled in. Calls take references as text; parsing one is for looking
// into it. Refs can be compared.
type Ref struct {
	text, registry, repository, tag, digest string
}

// ParseRef parses [registry/]repository[:tag][@digest] and fills in the defaults: registry index.docker.io, "library/"
// before single names there, tag "latest" where neither tag nor digest is given.
func ParseRef(text string) (Ref, error) {
	var a arena
	defer a.free()
	reference, err := a.reference(text)
	if err != nil {
		return Ref{}, err
	}
	return copyRef(reference), nil
}

// String is the whole reference, fully qualified.
func (r Ref) String() string { return r.text }

// Registry is the registry's host, and its port if one was given.
func (r Ref) Registry() string { return r.registry }

// Repository is the repository within the registry, such as "library/ubuntu".
func (r Ref) Repository() string { return r.repository }

// Tag is the tag; "" where only a digest was given.
func (r Ref) Tag() string { return r.tag }

// Digest is the digest; "" where none was given.
func (r Ref) Digest() string { return r.digest }

// WithTag is the same repository under another tag, without a digest.
func (r Ref) WithTag(tag string) (Ref, error) {
	return r.change("tag", tag, func(reference *C.parb_ref, tag *C.char, out **C.parb_ref) *C.parb_error {
		return C.parb_ref_with_tag(reference, tag, out)
	})
}

// WithDigest is the same repository with a digest, without a tag.
func (r Ref) WithDigest(digest string) (Ref, error) {
	return r.change("digest", digest, func(reference *C.parb_ref, digest *C.char, out **C.parb_ref) *C.parb_error {
		return C.parb_ref_with_digest(reference, digest, out)
	})
}

func (r Ref) change(name, value string, with func(*C.parb_ref, *C.char, **C.parb_ref) *C.parb_error) (Ref, error) {
	var a arena
	defer a.free()
	reference, err := a.reference(r.text)
	if err != nil {
		return Ref{}, err
	}
	text := a.text(name, value)
	if a.err != nil {
		return Ref{}, a.err
	}
	var changed *C.parb_ref
	if e := with(reference, text, &changed); e != nil {
		return Ref{}, failure(context.Background(), e)
	}
	defer C.parb_ref_free(changed)
	return copyRef(changed), nil
}

func copyRef(reference *C.parb_ref) Ref {
	return Ref{
		text:       C.GoString(C.parb_ref_text(reference)),
		registry:   C.GoString(C.parb_ref_registry(reference)),
		repository: C.GoString(C.parb_ref_repository(reference)),
		tag:        C.GoString(C.parb_ref_tag(reference)),
		digest:     C.GoString(C.parb_ref_digest(reference)),
	}
}

// Descriptor names content: its media type, digest and size, with what is said about it.
type Descriptor struct {
	h handle[*C.parb_descriptor]
}

// newDescriptor takes over a descriptor; nil for NULL.
func newDescriptor(p *C.parb_descriptor) *Descriptor {
	if p == nil {
		return nil
	}
	d := &Descriptor{}
	d.h.own(p, "descriptor", func(p *C.parb_descriptor) { C.parb_descriptor_free(p) })
	return d
}

func takeDescriptor(op *C.parb_op, out **C.parb_descriptor) *C.parb_error {
	return C.parb_op_take_descriptor(op, out)
}

// MediaType says what the content is.
func (d *Descriptor) MediaType() string {
	return get(&d.h, func(p *C.parb_descriptor) string { return C.GoString(C.parb_descriptor_media_type(p)) })
}

// Digest is the content's digest, such as "sha256:…".
func (d *Descriptor) Digest() string {
	return get(&d.h, func(p *C.parb_descriptor) string { return C.GoString(C.parb_descriptor_digest(p)) })
}

// Size is the content's size in bytes.
func (d *Descriptor) Size() uint64 {
	return get(&d.h, func(p *C.parb_descriptor) uint64 { return uint64(C.parb_descriptor_size(p)) })
}

// Platform is what the content runs on, such as "linux/arm64/v8"; "" where that is not said.
func (d *Descriptor) Platform() string {
	return get(&d.h, func(p *C.parb_descriptor) string { return C.GoString(C.parb_descriptor_platform(p)) })
}

// ArtifactType says what kind of artifact it is; "" where that is not said.
func (d *Descriptor) ArtifactType() string {
	return get(&d.h, func(p *C.parb_descriptor) string { return C.GoString(C.parb_descriptor_artifact_type(p)) })
}

// Annotations are the annotations, possibly none.
func (d *Descriptor) Annotations() map[string]string {
	return get(&d.h, func(p *C.parb_descriptor) map[string]string { return goMap(C.parb_descriptor_annotations(p)) })
}

// String is the digest.
func (d *Descriptor) String() string { return d.Digest() }
