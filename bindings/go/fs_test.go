package parbuckle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	parbuckle "parbuckle.example/go"
)

// tree is an image of two layers, the upper of which hides some of the lower one.
func tree(t *testing.T) *parbuckle.Image {
	t.Helper()
	at := time.Unix(1e9, 5)
	lower := tarOf(t,
		tar.Header{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755, ModTime: at},
		tar.Header{Name: "etc/motd", Mode: 0o640, Uid: 7, Gid: 8, ModTime: at, Size: 5,
			PAXRecords: map[string]string{"SCHILY.xattr.user.note": "one"}},
		tar.Header{Name: "etc/old", Mode: 0o644, Size: 5},
		tar.Header{Name: "etc-not", Mode: 0o644, Size: 5},
		tar.Header{Name: "bin/tool", Mode: 0o4755, Size: 5},
		tar.Header{Name: "bin/same", Typeflag: tar.TypeLink, Linkname: "bin/tool"},
	)
	upper := tarOf(t,
		tar.Header{Name: "etc/.wh.old"},
		tar.Header{Name: "motd", Typeflag: tar.TypeSymlink, Linkname: "/usr/../etc/motd"},
		tar.Header{Name: "usr/etc", Typeflag: tar.TypeSymlink, Linkname: "../etc"},
		tar.Header{Name: "usr/also", Typeflag: tar.TypeLink, Linkname: "usr/etc"},
		tar.Header{Name: "usr/new", Mode: 0o600, Size: 5},
	)
	return must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(lower).AddLayer(upper).SetPlatform("linux/amd64").Build(t.Context()))
}

// tarOf is a layer of these entries, whose files all have the content "hello".
func tarOf(t *testing.T, headers ...tar.Header) *parbuckle.Layer {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, header := range headers {
		header.Format = tar.FormatPAX
		if err := writer.WriteHeader(&header); err != nil {
			t.Fatal(err)
		}
		io.WriteString(writer, "hello"[:header.Size])
	}
	writer.Close()
	return must[*parbuckle.Layer](t)(parbuckle.LayerFromBytes(t.Context(), archive.Bytes()))
}

func TestFS(t *testing.T) {
	fsys := must[*parbuckle.FS](t)(tree(t).FS(t.Context()))
	err := fstest.TestFS(fsys, "etc/motd", "etc-not", "bin/tool", "bin/same", "motd", "usr/etc", "usr/also", "usr/new")
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"etc/motd", "motd", "usr/etc/motd", "usr/also/motd", "bin/same"} {
		if content := must[[]byte](t)(fs.ReadFile(fsys, name)); string(content) != "hello" {
			t.Errorf("%s: %q", name, content)
		}
	}
	motd := must[fs.FileInfo](t)(fsys.Stat("motd"))
	if motd.Name() != "motd" || motd.Mode() != 0o640 || motd.Size() != 5 || !motd.ModTime().Equal(time.Unix(1e9, 5)) {
		t.Errorf("motd is %v", motd)
	}
	file := motd.Sys().(*parbuckle.File)
	if file.Path != "etc/motd" || file.UID != 7 || file.GID != 8 || file.Layer != 0 || string(file.Xattrs["user.note"]) != "one" {
		t.Errorf("motd is %+v", file)
	}
	if tool := must[fs.FileInfo](t)(fsys.Stat("bin/tool")); tool.Mode() != 0o755|fs.ModeSetuid {
		t.Errorf("tool is %v", tool)
	}
	link := must[fs.FileInfo](t)(fsys.Lstat("usr/also"))
	if target := must[string](t)(fsys.ReadLink("usr/also")); link.Mode().Type() != fs.ModeSymlink || target != "../etc" {
		t.Errorf("usr/also is %v to %s", link, target)
	}
	sub := must[fs.FS](t)(fs.Sub(fsys, "usr"))
	if content := must[[]byte](t)(fs.ReadFile(sub, "new")); string(content) != "hello" {
		t.Errorf("usr/new: %q", content)
	}
	for name, check := range map[string]struct {
		err  error
		want error
	}{
		"hidden":      {second(fsys.Open("etc/old")), fs.ErrNotExist},
		"missing":     {second(fsys.Stat("none/such")), fs.ErrNotExist},
		"invalid":     {second(fsys.Open("/etc")), fs.ErrInvalid},
		"not a link":  {second(fsys.ReadLink("etc/motd")), fs.ErrInvalid},
		"below file":  {second(fsys.Open("etc/motd/x")), nil},
		"list a file": {second(fsys.ReadDir("etc/motd")), nil},
		"read a dir":  {second(fsys.ReadFile("etc")), nil},
	} {
		var failure *fs.PathError
		if !errors.As(check.err, &failure) || check.want != nil && !errors.Is(check.err, check.want) {
			t.Errorf("%s: %v", name, check.err)
		}
	}
}

func TestFSLoops(t *testing.T) {
	image := must[*parbuckle.Image](t)(parbuckle.Scratch().AddLayer(tarOf(t,
		tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "b"},
		tar.Header{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a"},
		tar.Header{Name: "out", Typeflag: tar.TypeSymlink, Linkname: "../../../etc/passwd"},
	)).Build(t.Context()))
	fsys := must[*parbuckle.FS](t)(image.FS(t.Context()))
	if _, err := fsys.Open("a"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := fsys.Open("out"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if must[fs.FileInfo](t)(fsys.Lstat("a")).Mode().Type() != fs.ModeSymlink {
		t.Error("a is no link")
	}
}

// TestFSEnds: what is read lazily ends with the context, and with Close.
func TestFSEnds(t *testing.T) {
	server, client := serve(t)
	reference := server.Registry() + "/a:1"
	if err := client.Push(t.Context(), reference, tree(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fsys := must[*parbuckle.FS](t)(must[*parbuckle.Image](t)(client.Pull(ctx, reference)).FS(ctx))
	file := must[fs.File](t)(fsys.Open("etc/motd"))
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if _, err := file.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("got %v", err)
	}
	cancel()
	if _, err := fsys.ReadFile("etc/motd"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := tree(t).FS(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestFiles(t *testing.T) {
	ctx := t.Context()
	image := tree(t)
	list := func(files func(func(*parbuckle.File, error) bool)) (lines []string) {
		for file, err := range files {
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%c %d %s %s", file.Kind, file.Layer, file.Path, file.Link)))
		}
		return lines
	}
	want := []string{
		"d 0 .", "d 0 bin", "f 0 bin/same", "h 0 bin/tool bin/same", "d 0 etc", "f 0 etc/motd", "f 0 etc-not",
		"l 1 motd /usr/../etc/motd", "d 1 usr", "l 1 usr/also ../etc", "h 1 usr/etc usr/also", "f 1 usr/new",
	}
	if found := list(image.Files(ctx)); !slices.Equal(found, want) {
		t.Errorf("files: %q", found)
	}
	want = []string{"w 0 etc/old", "l 0 motd /usr/../etc/motd", "l 0 usr/etc ../etc", "h 0 usr/also usr/etc", "f 0 usr/new"}
	if found := list(image.Layers()[1].Files(ctx)); !slices.Equal(found, want) {
		t.Errorf("files of the layer: %q", found)
	}
	for range image.Files(ctx) {
		break // a list that is left early
	}
	image.Close()
	for _, err := range image.Files(ctx) {
		if !errors.Is(err, parbuckle.InvalidState) {
			t.Errorf("got %v", err)
		}
	}
}

func TestFilesystem(t *testing.T) {
	ctx := t.Context()
	image := tree(t)
	var names []string
	for archive := tar.NewReader(open(t, image.OpenFilesystem)); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		names = append(names, must[*tar.Header](t)(header, err).Name)
	}
	if len(names) < 8 || slices.Contains(names, "etc/old") || !slices.Contains(names, "etc/motd") {
		t.Errorf("the file system has %q", names)
	}
	content := must[[]byte](t)(io.ReadAll(open(t, func(ctx context.Context) (io.ReadCloser, error) { return image.OpenFile(ctx, "/motd") })))
	if string(content) != "hello" {
		t.Errorf("read %q", content)
	}
	if _, err := image.OpenFile(ctx, "etc/old"); !errors.Is(err, parbuckle.NotFound) {
		t.Errorf("got %v", err)
	}
	flat := must[*parbuckle.Image](t)(image.Flatten(ctx, parbuckle.WithCompression("zstd", 0)))
	if err := flat.Validate(ctx); err != nil || len(flat.Layers()) != 1 || !strings.HasSuffix(flat.Layers()[0].Descriptor().MediaType(), "+zstd") {
		t.Errorf("%s: %v", flat.Manifest(), err)
	}
	index := must[*parbuckle.Index](t)(parbuckle.ScratchIndex().AddImage(image).Build(ctx))
	flattened := must[*parbuckle.Index](t)(index.Flatten(ctx, parbuckle.WithCompression("zstd", 0)))
	if found := must[*parbuckle.Image](t)(flattened.Image(ctx, "linux/amd64")); found.Digest() != flat.Digest() {
		t.Errorf("%s in the index, %s by itself", found.Digest(), flat.Digest())
	}
}
