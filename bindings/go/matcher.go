package parbuckle

// #include <parbuckle.h>
import "C"

// Matcher chooses entries of an index or a layout: of each kind of condition one must hold, of several kinds all. The
// zero Matcher means every entry.
type Matcher struct {
	Name          string            // what a layout calls it: the annotation org.opencontainers.image.ref.name, or containerd's
	Digests       []string          // the entry's digest
	Platforms     []string          // os/architecture[/variant][:os.version]: these and no other; what is left out does not matter
	MediaTypes    []string          // what the entry is
	ArtifactTypes []string          // what kind of artifact the entry is the manifest of
	Annotations   map[string]string // annotations of the entry, all of them
	Annotated     []string          // annotations of the entry, all of them, whatever their values
}

// make is the C matcher, freed with the arena.
func (m Matcher) make(a *arena) *C.parb_matcher {
	c := C.parb_matcher_new()
	a.frees = append(a.frees, func() { C.parb_matcher_free(c) })
	if m.Name != "" {
		C.parb_matcher_set_name(c, a.text("name", m.Name))
	}
	for _, digest := range m.Digests {
		C.parb_matcher_add_digest(c, a.text("digest", digest))
	}
	for _, platform := range m.Platforms {
		C.parb_matcher_add_platform(c, a.text("platform", platform))
	}
	for _, mediaType := range m.MediaTypes {
		C.parb_matcher_add_media_type(c, a.text("media type", mediaType))
	}
	for _, artifactType := range m.ArtifactTypes {
		C.parb_matcher_add_artifact_type(c, a.text("artifact type", artifactType))
	}
	for key, value := range m.Annotations {
		C.parb_matcher_add_annotation(c, a.text("key", key), a.text("value", value))
	}
	for _, key := range m.Annotated {
		C.parb_matcher_add_annotation(c, a.text("key", key), nil)
	}
	return c
}
