package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"time"
)

// FileKind is what a file is.
type FileKind rune

// The kinds of files.
const (
	Regular     FileKind = 'f'
	Directory   FileKind = 'd'
	Symlink     FileKind = 'l'
	HardLink    FileKind = 'h' // another name of a file before it
	CharDevice  FileKind = 'c'
	BlockDevice FileKind = 'b'
	NamedPipe   FileKind = 'p'
	Whiteout    FileKind = 'w' // in layers only: removes what lower layers have at this path
	Opaque      FileKind = 'o' // in layers only: removes what lower layers have in this directory
	NoFile      FileKind = '?' // in layers only: an entry that is no file
)

// File is a file of an image or layer.
type File struct {
	Path               string // relative to the root, which is "."; not necessarily UTF-8
	Kind               FileKind
	Mode               fs.FileMode // with the bits of its kind
	UID, GID           uint64
	Size               uint64 // of the content
	ModTime            time.Time
	Link               string // where a link leads: a symbolic one as it says, a hard one by the path of the file
	DevMajor, DevMinor uint32
	Layer              int               // the layer of the image that it comes from, base first
	Xattrs             map[string][]byte // nil where there are none
}

// fileList is a list of files in C.
type fileList struct {
	h handle[*C.parb_files]
}

func newFileList(p *C.parb_files) *fileList {
	list := &fileList{}
	list.h.own(p, "list of files", func(p *C.parb_files) { C.parb_files_free(p) })
	return list
}

func takeFiles(op *C.parb_op, out **C.parb_files) *C.parb_error { return C.parb_op_take_files(op, out) }

func (l *fileList) len() int {
	return get(&l.h, func(p *C.parb_files) int { return int(C.parb_files_count(p)) })
}

func (l *fileList) path(i int) string {
	return get(&l.h, func(p *C.parb_files) string { return C.GoString(C.parb_files_path_at(p, C.size_t(i))) })
}

func (l *fileList) kind(i int) FileKind {
	return get(&l.h, func(p *C.parb_files) FileKind { return FileKind(C.parb_files_kind_at(p, C.size_t(i))) })
}

func (l *fileList) link(i int) string {
	return get(&l.h, func(p *C.parb_files) string { return C.GoString(C.parb_files_link_at(p, C.size_t(i))) })
}

func (l *fileList) at(i int) *File {
	return get(&l.h, func(p *C.parb_files) *File {
		n := C.size_t(i)
		file := &File{
			Path:    C.GoString(C.parb_files_path_at(p, n)),
			Kind:    FileKind(C.parb_files_kind_at(p, n)),
			UID:     uint64(C.parb_files_uid_at(p, n)),
			GID:     uint64(C.parb_files_gid_at(p, n)),
			Size:    uint64(C.parb_files_size_at(p, n)),
			ModTime: time.Unix(int64(C.parb_files_mtime_at(p, n)), int64(C.parb_files_mtime_ns_at(p, n))),
			Link:    C.GoString(C.parb_files_link_at(p, n)),
			Layer:   int(C.parb_files_layer_at(p, n)),
			Xattrs:  xattrsAt(p, n),
		}
		var minor C.uint32_t
		file.DevMajor = uint32(C.parb_files_device_at(p, n, &minor))
		file.DevMinor = uint32(minor)
		file.Mode = goMode(file.Kind, uint32(C.parb_files_mode_at(p, n)))
		return file
	})
}

func xattrsAt(p *C.parb_files, i C.size_t) map[string][]byte {
	names := C.parb_files_xattr_names_at(p, i)
	if names == nil {
		return nil
	}
	xattrs := map[string][]byte{}
	for n := range C.parb_strings_count(names) {
		name := C.parb_strings_at(names, n)
		var size C.size_t
		value := C.parb_files_xattr_at(p, i, name, &size)
		xattrs[C.GoString(name)] = goBytes(value, size)
	}
	return xattrs
}

// goMode is the mode as Go counts it: the opposite of unixMode, with the kind.
func goMode(kind FileKind, unix uint32) fs.FileMode {
	mode := fs.FileMode(unix & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if unix&bit != 0 {
			mode |= flag
		}
	}
	switch kind {
	case Directory:
		mode |= fs.ModeDir
	case Symlink:
		mode |= fs.ModeSymlink
	case CharDevice:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case BlockDevice:
		mode |= fs.ModeDevice
	case NamedPipe:
		mode |= fs.ModeNamedPipe
	case Whiteout, Opaque, NoFile:
		mode |= fs.ModeIrregular
	}
	return mode
}

// Files goes through the paths of the image's file system: a directory before what is in it, sorted by name. Every
// layer is read and verified first. It ends with the first error.
func (i *Image) Files(ctx context.Context) iter.Seq2[*File, error] {
	return eachFile(func() (*fileList, error) { return i.files(ctx) })
}

func (i *Image) files(ctx context.Context) (*fileList, error) {
	return call(ctx, &settings{}, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_files_start(p, nil, bound, op)
	}), takeFiles, newFileList)
}

// Files goes through the layer's own entries in their order, whiteouts among them. The layer is read and verified
// first. It ends with the first error.
func (l *Layer) Files(ctx context.Context) iter.Seq2[*File, error] {
	return eachFile(func() (*fileList, error) {
		return call(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
			return C.parb_layer_files_start(p, nil, bound, op)
		}), takeFiles, newFileList)
	})
}

func eachFile(of func() (*fileList, error)) iter.Seq2[*File, error] {
	return func(yield func(*File, error) bool) {
		list, err := of()
		if err != nil {
			yield(nil, err)
			return
		}
		defer list.h.close()
		for i := range list.len() {
			if !yield(list.at(i), nil) {
				return
			}
		}
	}
}

// OpenFilesystem opens the file system of the image as one tar: what a container made of it sees. Whiteouts are
// applied, names are relative to the root, hard links come after their targets, nothing lies behind a symbolic link.
// The same image gives the same bytes. io.EOF comes only if every layer was right. ctx bounds the reading too; close
// the reader.
func (i *Image) OpenFilesystem(ctx context.Context) (io.ReadCloser, error) {
	return openReader(ctx, &settings{}, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_filesystem_start(p, nil, bound, op)
	}))
}

// OpenFile opens one file of the image; symbolic links are followed within it. Layers are read from the topmost down to
// the one that has the file, and that one to its end: the content is verified before the first byte. ctx bounds the
// reading too; close the reader.
func (i *Image) OpenFile(ctx context.Context, path string) (io.ReadCloser, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("path", path)
	return openReader(ctx, s, on(&i.h, func(p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_open_file_start(p, text, s.c, bound, op)
	}))
}

// Flatten is the image with one layer in place of all: the tar of [Image.OpenFilesystem]. The history becomes one
// entry, whose comment has the old one as JSON. All else in config and manifest stays.
func (i *Image) Flatten(ctx context.Context, options ...Option) (*Image, error) {
	return changed(ctx, i, options, func(s *settings, p *C.parb_image, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_image_flatten_start(p, s.c, bound, op)
	})
}

// Flatten is the index with its images flattened as by [Image.Flatten]. Attestations are left out; what has no image
// config stays as it is. (To put the entries of nested indexes into this one there is [IndexBuilder.Flatten].)
func (x *Index) Flatten(ctx context.Context, options ...Option) (*Index, error) {
	s := newSettings(options)
	defer s.free()
	return call(ctx, s, on(&x.h, func(p *C.parb_index, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_index_flatten_start(p, s.c, bound, op)
	}), takeIndex, newIndex)
}
