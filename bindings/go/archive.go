package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"io"
	"os"
)

// Archive is an archive of images that is open to be read. Images that came out of it keep its file open.
type Archive struct {
	h handle[*C.parb_archive]
}

func newArchive(p *C.parb_archive) *Archive {
	archive := &Archive{}
	archive.h.own(p, "archive", func(p *C.parb_archive) { C.parb_archive_free(p) })
	return archive
}

func takeArchive(op *C.parb_op, out **C.parb_archive) *C.parb_error {
	return C.parb_op_take_archive(op, out)
}

// OpenArchive opens an archive: what docker save writes in all its forms, or an OCI layout in a tar. A file is indexed
// and read in place, and is not to change as long as it is open. A pipe ("-" is standard input), and an archive that is
// compressed as a whole, goes into a file without a name in $TMPDIR.
func OpenArchive(ctx context.Context, path string, options ...Option) (*Archive, error) {
	s := newSettings(options)
	defer s.free()
	text := s.text("path", path)
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_open_start(text, s.c, bound, op)
	}), takeArchive, newArchive)
}

// OpenArchiveFile is [OpenArchive] for a file that is open already. It is read from its start, whatever its position,
// and stays the caller's.
func OpenArchiveFile(ctx context.Context, file *os.File, options ...Option) (*Archive, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (e *C.parb_error, err error) {
		err = withFD(file, func(fd C.int32_t) { e = C.parb_archive_open_fd_start(fd, s.c, bound, op) })
		return e, err
	}, takeArchive, newArchive)
}

// OpenArchiveReader is [OpenArchive] for a stream, which is read to its end into a file without a name in $TMPDIR, by a
// goroutine of the library's. Its errors are found in what this returns (errors.Is). A Read that hangs is not
// interrupted when ctx ends.
func OpenArchiveReader(ctx context.Context, archive io.Reader, options ...Option) (*Archive, error) {
	s := newSettings(options)
	defer s.free()
	stream := newSource(archive)
	defer stream.wait() // whoever gave the reader may use it again when this returns
	defer stream.close()
	return call(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_open_source_start(stream.c, s.c, bound, op)
	}), takeArchive, newArchive)
}

// Close frees the archive; what was got from it lives on.
func (a *Archive) Close() error {
	a.h.close()
	return nil
}

// Kind is the archive's form: "docker" (with a manifest.json), "oci" or "legacy".
func (a *Archive) Kind() string {
	return get(&a.h, func(p *C.parb_archive) string { return C.GoString(C.parb_archive_kind(p)) })
}

// Refs are the names of the images, in the archive's order: what its maker wrote, for which nobody vouches.
func (a *Archive) Refs() []string {
	return get(&a.h, func(p *C.parb_archive) []string { return goStrings(C.parb_archive_refs(p)) })
}

// Image is an image of the archive by its name or digest, or for "" the only one. An archive of docker save has no
// manifests, so that one is made, of Docker's types or of [WithFormat]'s. Layers stay as they are unless [WithSink] or
// [WithCompression] is given: then plain layers are compressed in one pass into that sink.
func (a *Archive) Image(ctx context.Context, name string, options ...Option) (*Image, error) {
	s := newSettings(options)
	defer s.free()
	text := s.filled("name", name)
	return call(ctx, s, on(&a.h, func(p *C.parb_archive, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_image_start(p, text, s.c, bound, op)
	}), takeImage, newImage)
}

// Index is an index of the archive by its name or digest, or for "" index.json, which names all that is in the archive.
// Archives of docker save have none ([Unsupported]).
func (a *Archive) Index(ctx context.Context, name string) (*Index, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.filled("name", name)
	return call(ctx, s, on(&a.h, func(p *C.parb_archive, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_index_start(p, text, s.c, bound, op)
	}), takeIndex, newIndex)
}

// NamedImage is an image for an archive. In Docker's forms the name is a reference, in OCI's any text; "": it has none.
type NamedImage struct {
	Name  string
	Image *Image
}

// WriteArchive writes images into a new archive, in the form that [WithArchiveFormat] says. Layers stay as they are;
// the legacy form has them plain. A file comes about beside its place and takes it when it is whole; a pipe or device
// at that path, or "-" for standard output, is written to in order. An image that is there several times is written
// once, with all its names.
func WriteArchive(ctx context.Context, path string, images []NamedImage, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	text, list, names := s.text("path", path), s.images(images), s.names(images)
	return do(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_start(text, &list[0], C.size_t(len(images)), names, s.c, bound, op)
	}))
}

// WriteArchiveTo is [WriteArchive] to a stream. An error of the stream comes out as it is. A Write that hangs is not
// interrupted when ctx ends.
func WriteArchiveTo(ctx context.Context, archive io.Writer, images []NamedImage, options ...Option) error {
	s := newSettings(options)
	defer s.free()
	list, names := s.images(images), s.names(images)
	return writeDown(ctx, s, archive, func(fd C.int32_t, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_fd_start(fd, &list[0], C.size_t(len(images)), names, s.c, bound, op)
	})
}

// WriteIndexArchive writes an index with all that it names into a new OCI archive, as [WriteArchive] does images. Its
// bytes, and so its digest, stay. The name is what index.json calls it; "": nothing.
func WriteIndexArchive(ctx context.Context, path string, index *Index, name string, options ...Option) error {
	s := newSettings(append([]Option{WithArchiveFormat("oci")}, options...))
	defer s.free()
	text, written, called := s.text("path", path), s.index(index), s.filled("name", name)
	return do(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_index_start(text, written, called, s.c, bound, op)
	}))
}

// WriteIndexArchiveTo is [WriteIndexArchive] to a stream, as [WriteArchiveTo] is [WriteArchive].
func WriteIndexArchiveTo(ctx context.Context, archive io.Writer, index *Index, name string, options ...Option) error {
	s := newSettings(append([]Option{WithArchiveFormat("oci")}, options...))
	defer s.free()
	written, called := s.index(index), s.filled("name", name)
	return writeDown(ctx, s, archive, func(fd C.int32_t, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_index_fd_start(fd, written, called, s.c, bound, op)
	})
}

// NamedIndex is an index for an OCI archive. The name is what index.json calls it; "": nothing.
type NamedIndex struct {
	Name  string
	Index *Index
}

// WriteMixedArchive writes images and indexes into one new OCI archive, the images first, otherwise as [WriteArchive]
// and [WriteIndexArchive].
func WriteMixedArchive(
	ctx context.Context, path string, images []NamedImage, indexes []NamedIndex, options ...Option,
) error {
	s := newSettings(append([]Option{WithArchiveFormat("oci")}, options...))
	defer s.free()
	text, list, more, names := s.text("path", path), s.images(images), s.indexes(indexes), s.names(images, indexes...)
	return do(ctx, s, starterOf(func(bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_all_start(text, &list[0], C.size_t(len(images)), &more[0], C.size_t(len(indexes)),
			names, s.c, bound, op)
	}))
}

// WriteMixedArchiveTo is [WriteMixedArchive] to a stream, as [WriteArchiveTo] is [WriteArchive].
func WriteMixedArchiveTo(
	ctx context.Context, archive io.Writer, images []NamedImage, indexes []NamedIndex, options ...Option,
) error {
	s := newSettings(append([]Option{WithArchiveFormat("oci")}, options...))
	defer s.free()
	list, more, names := s.images(images), s.indexes(indexes), s.names(images, indexes...)
	return writeDown(ctx, s, archive, func(fd C.int32_t, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_archive_write_all_fd_start(fd, &list[0], C.size_t(len(images)), &more[0], C.size_t(len(indexes)),
			names, s.c, bound, op)
	})
}

// images are handles for the call; there is one more, so that there is a first.
func (a *arena) images(images []NamedImage) []*C.parb_image {
	list := make([]*C.parb_image, len(images)+1)
	for i, named := range images {
		list[i] = a.image(named.Image)
	}
	return list
}

func (a *arena) indexes(indexes []NamedIndex) []*C.parb_index {
	list := make([]*C.parb_index, len(indexes)+1)
	for i, named := range indexes {
		list[i] = a.index(named.Index)
	}
	return list
}

func (a *arena) names(images []NamedImage, indexes ...NamedIndex) *C.parb_strings {
	names := make([]string, 0, len(images)+len(indexes))
	for _, named := range images {
		names = append(names, named.Name)
	}
	for _, named := range indexes {
		names = append(names, named.Name)
	}
	return a.list("name", names)
}

// writeDown has a call write into a pipe, whose other end is copied to a writer.
func writeDown(
	ctx context.Context,
	s *settings,
	to io.Writer,
	start func(fd C.int32_t, bound *C.parb_ctx, op **C.parb_op) *C.parb_error,
) error {
	from, down, err := os.Pipe()
	if err != nil {
		return newCause(IO, "no pipe", err)
	}
	defer down.Close()
	written := &writes{to: to}
	copied := make(chan error, 1)
	go func() {
		defer from.Close() // the library is told that nobody takes more
		_, err := io.Copy(written, from)
		copied <- err
	}()
	err = do(ctx, s, func(bound *C.parb_ctx, op **C.parb_op) (e *C.parb_error, err error) {
		err = withFD(down, func(fd C.int32_t) { e = start(fd, bound, op) })
		down.Close() // the library has it too, for as long as it writes
		return e, err
	})
	down.Close()
	if err != nil {
		from.Close()
	}
	failed := <-copied // whoever gave the writer may use it again when this returns
	switch {
	case written.err != nil && ctx.Err() == nil:
		return written.err
	case err != nil:
		return err
	case failed != nil:
		return newCause(IO, "reading from a pipe", failed)
	}
	return nil
}

// writes remembers what a writer failed with.
type writes struct {
	to  io.Writer
	err error
}

func (w *writes) Write(data []byte) (int, error) {
	n, err := w.to.Write(data)
	w.err = err
	return n, err
}

// withFD lends a file's descriptor. Not by Fd, which may change how others wait for the file.
func withFD(file *os.File, use func(fd C.int32_t)) error {
	raw, err := file.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { use(C.int32_t(fd)) })
	}
	if err != nil {
		return newCause(InvalidState, "the file can't be used", err)
	}
	return nil
}
