package parbuckle

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxLinks is how many symbolic links are followed for one name.
const maxLinks = 40

var (
	_ fs.StatFS     = (*FS)(nil)
	_ fs.ReadDirFS  = (*FS)(nil)
	_ fs.ReadFileFS = (*FS)(nil)
)

// FS is the file system of an image, as an [io/fs.FS] (and StatFS, ReadDirFS, ReadFileFS, and from Go 1.25 on
// ReadLinkFS). Symbolic links are followed within the image. FileInfo.Sys gives a [*File].
type FS struct {
	ctx   context.Context
	image *Image
	list  *fileList
	root  *node
}

// node is a file by its place in the list. Its facts stay in C until they are asked for.
type node struct {
	i    int
	name string
	up   *node
	in   []*node // sorted by name
}

// FS is the image's file system. Every layer is read now, for what files there are; the bytes of a file are read when
// they are, from the layer it is in: if the image is far away, [Image.Cached] keeps what was read. ctx bounds that
// reading too.
func (i *Image) FS(ctx context.Context) (*FS, error) {
	list, err := i.files(ctx)
	if err != nil {
		return nil, err
	}
	image, err := i.clone()
	if err != nil {
		return nil, err
	}
	f := &FS{ctx: ctx, image: image, list: list, root: &node{i: -1, name: "."}}
	f.root.up = f.root
	f.grow()
	return f, nil
}

// grow makes the tree of the list, which has each directory before what is in it.
func (f *FS) grow() {
	directories := map[string]*node{".": f.root}
	for i := range f.list.len() {
		whole := f.list.path(i)
		if whole == "." {
			f.root.i = i
			continue
		}
		dir, name := ".", whole
		if slash := strings.LastIndexByte(whole, '/'); slash >= 0 {
			dir, name = whole[:slash], whole[slash+1:]
		}
		up := directories[dir]
		if up == nil {
			continue // the list has no file outside of a directory
		}
		child := &node{i: i, name: name, up: up}
		up.in = append(up.in, child)
		if f.list.kind(i) == Directory {
			directories[whole] = child
		}
	}
	for _, directory := range directories {
		slices.SortFunc(directory.in, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	}
}

// Open opens a file or directory; symbolic links are followed.
func (f *FS) Open(name string) (fs.File, error) {
	found, err := f.find("open", name, true)
	if err != nil {
		return nil, err
	}
	if f.kindOf(found) == Directory {
		return &openDir{fs: f, name: name, node: found}, nil
	}
	ctx, cancel := context.WithCancel(f.ctx)
	return &openFile{fs: f, name: name, node: found, ctx: ctx, cancel: cancel}, nil
}

// Stat describes a file; symbolic links are followed.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	found, err := f.find("stat", name, true)
	if err != nil {
		return nil, err
	}
	return f.info(found, path.Base(name)), nil
}

// Lstat describes a file; if it is a symbolic link, the link.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	found, err := f.find("lstat", name, false)
	if err != nil {
		return nil, err
	}
	return f.info(found, path.Base(name)), nil
}

// ReadLink is where a symbolic link leads, as it says.
func (f *FS) ReadLink(name string) (string, error) {
	found, err := f.find("readlink", name, false)
	if err != nil {
		return "", err
	}
	if f.kindOf(found) != Symlink {
		return "", pathError("readlink", name, fs.ErrInvalid)
	}
	return f.list.link(f.original(found).i), nil
}

// ReadDir lists a directory, sorted by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	found, err := f.find("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if f.kindOf(found) != Directory {
		return nil, pathError("readdir", name, errNoDirectory)
	}
	return f.entries(found.in), nil
}

// ReadFile reads a whole file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

var (
	errNoDirectory  = errors.New("not a directory")
	errDirectory    = errors.New("is a directory")
	errTooManyLinks = errors.New("too many symbolic links")
)

func pathError(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// find goes down the tree to a name.
func (f *FS) find(op, name string, follow bool) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, pathError(op, name, fs.ErrInvalid)
	}
	at, links, todo := f.root, 0, strings.Split(name, "/")
	for len(todo) > 0 {
		step := todo[0]
		todo = todo[1:]
		if f.kindOf(at) != Directory {
			return nil, pathError(op, name, errNoDirectory)
		}
		switch step {
		case "", ".":
			continue
		case "..":
			at = at.up
			continue
		}
		next := at.child(step)
		if next == nil {
			return nil, pathError(op, name, fs.ErrNotExist)
		}
		if f.kindOf(next) != Symlink || len(todo) == 0 && !follow {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return nil, pathError(op, name, errTooManyLinks)
		}
		target := f.list.link(f.original(next).i)
		if strings.HasPrefix(target, "/") {
			at = f.root
		}
		todo = append(strings.Split(target, "/"), todo...)
	}
	return at, nil
}

func (n *node) child(name string) *node {
	i, ok := slices.BinarySearchFunc(n.in, name, func(n *node, name string) int { return strings.Compare(n.name, name) })
	if !ok {
		return nil
	}
	return n.in[i]
}

func (f *FS) kindOf(n *node) FileKind {
	if n.i < 0 {
		return Directory // a root that no layer tells of
	}
	return f.list.kind(f.original(n).i)
}

// original is the file that a hard link is another name of. Its own kind is that, and so is its own link.
func (f *FS) original(n *node) *node {
	if n.i < 0 || f.list.kind(n.i) != HardLink {
		return n
	}
	at := f.root
	for _, step := range strings.Split(f.list.link(n.i), "/") {
		if at = at.child(step); at == nil {
			return n
		}
	}
	return at
}

// info describes a node, by the name it was asked for.
func (f *FS) info(n *node, name string) *info {
	if n.i < 0 {
		return &info{name, &File{Path: ".", Kind: Directory, Mode: fs.ModeDir | 0o755, ModTime: time.Unix(0, 0)}}
	}
	file := f.list.at(n.i)
	if first := f.original(n); first != n {
		file.Mode = f.list.at(first.i).Mode
	}
	return &info{name, file}
}

func (f *FS) entries(nodes []*node) []fs.DirEntry {
	entries := make([]fs.DirEntry, len(nodes))
	for i, n := range nodes {
		entries[i] = fs.FileInfoToDirEntry(f.info(n, n.name))
	}
	return entries
}

// info is a fs.FileInfo.
type info struct {
	name string
	file *File
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return int64(i.file.Size) }
func (i *info) Mode() fs.FileMode  { return i.file.Mode }
func (i *info) ModTime() time.Time { return i.file.ModTime }
func (i *info) IsDir() bool        { return i.file.Mode.IsDir() }
func (i *info) Sys() any           { return i.file }
func (i *info) String() string     { return fs.FormatFileInfo(i) }

// openFile is a file whose bytes are not read before the first Read.
type openFile struct {
	fs     *FS
	name   string
	node   *node
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex
	bytes  io.ReadCloser
}

func (o *openFile) Stat() (fs.FileInfo, error) {
	return o.fs.info(o.node, path.Base(o.name)), nil
}

func (o *openFile) Read(into []byte) (n int, err error) {
	bytes, err := o.reader()
	if err == nil {
		n, err = bytes.Read(into)
	}
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case o.ctx.Err() != nil && o.fs.ctx.Err() == nil:
		err = fs.ErrClosed
	}
	return n, pathError("read", o.name, err)
}

func (o *openFile) reader() (io.ReadCloser, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes != nil {
		return o.bytes, nil
	}
	bytes, err := o.fs.image.OpenFile(o.ctx, o.fs.list.path(o.node.i))
	if err != nil {
		return nil, err
	}
	o.bytes = bytes
	return bytes, nil
}

// Close closes the file, and ends a Read that waits for bytes.
func (o *openFile) Close() error {
	o.cancel()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bytes == nil {
		return nil
	}
	return o.bytes.Close()
}

// openDir is a directory, which remembers how far it was listed.
type openDir struct {
	fs     *FS
	name   string
	node   *node
	mu     sync.Mutex
	listed int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.fs.info(d.node, path.Base(d.name)), nil }

func (d *openDir) Read([]byte) (int, error) { return 0, pathError("read", d.name, errDirectory) }

func (d *openDir) Close() error { return nil }

// ReadDir lists the next n entries, or with n of 0 or less all that are left.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := d.node.in[d.listed:]
	if n > 0 {
		if len(left) == 0 {
			return nil, io.EOF
		}
		left = left[:min(n, len(left))]
	}
	d.listed += len(left)
	return d.fs.entries(left), nil
}
