// Estargz is another reader and writer of layers with a table of contents, for tests: the libraries that the container
// engines use.
//
//	estargz check BLOB TAR DIGEST   BLOB is eStargz of TAR's entries, and its table has this digest
//	estargz layout KIND TAR DIR     writes an OCI layout with an image of one layer, "estargz" or "chunked" (zstd:chunked)
package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containers/storage/pkg/chunked/compressor"
	"github.com/opencontainers/go-digest"
)

func main() {
	log.SetFlags(0)
	args := os.Args[1:]
	var err error
	switch {
	case len(args) == 4 && args[0] == "check":
		err = check(args[1], args[2], digest.Digest(args[3]))
	case len(args) == 4 && args[0] == "layout":
		err = layout(args[1], args[2], args[3])
	default:
		log.Fatal("usage: estargz check BLOB TAR DIGEST | layout KIND TAR DIR")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func section(path string) (*io.SectionReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return io.NewSectionReader(file, 0, info.Size()), nil
}

func check(blob, source string, table digest.Digest) error {
	sr, err := section(blob)
	if err != nil {
		return err
	}
	layer, err := estargz.Open(sr)
	if err != nil {
		return err
	}
	verifier, err := layer.VerifyTOC(table)
	if err != nil {
		return err
	}
	if _, found := layer.Lookup(estargz.NoPrefetchLandmark); !found {
		return fmt.Errorf("no landmark")
	}
	if _, found := layer.Lookup(estargz.TOCTarName); found {
		return fmt.Errorf("the table lists itself")
	}
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	entries, files := 0, 0
	for in := tar.NewReader(file); ; entries++ {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		e, found := layer.Lookup(h.Name)
		if !found {
			return fmt.Errorf("%s is not in the table", h.Name)
		}
		if err := alike(h, e); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if h.Typeflag == tar.TypeReg {
			want, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			if err := content(layer, verifier, h.Name, want); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			files++
		}
	}
	fmt.Printf("%d entries, %d files\n", entries, files)
	return nil
}

func alike(h *tar.Header, e *estargz.TOCEntry) error {
	if h.Typeflag == tar.TypeLink {
		return nil // Lookup gives what it links to
	}
	kinds := map[byte]string{
		tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink",
		tar.TypeChar: "char", tar.TypeBlock: "block", tar.TypeFifo: "fifo",
	}
	if kinds[h.Typeflag] != e.Type {
		return fmt.Errorf("is %q", e.Type)
	}
	size := int64(0)
	if h.Typeflag == tar.TypeReg {
		size = h.Size
	}
	same := size == e.Size && h.Mode&0o7777 == e.Mode && h.Uid == e.UID && h.Gid == e.GID &&
		h.Uname == e.Uname && h.Gname == e.Gname && (h.Typeflag != tar.TypeSymlink || h.Linkname == e.LinkName) &&
		int(h.Devmajor) == e.DevMajor && int(h.Devminor) == e.DevMinor
	if !same {
		return fmt.Errorf("%+v is not %+v", e, h)
	}
	if at := h.ModTime.Unix(); at != 0 && e.ModTime().Unix()-at > 1 {
		return fmt.Errorf("time is %s, not %s", e.ModTime(), h.ModTime)
	}
	for key, value := range h.PAXRecords {
		name, found := strings.CutPrefix(key, "SCHILY.xattr.")
		if found && string(e.Xattrs[name]) != value {
			return fmt.Errorf("attribute %s is %q", name, e.Xattrs[name])
		}
	}
	return nil
}

// content reads a file chunk by chunk, each verified as the snapshotter does it.
func content(layer *estargz.Reader, verifier estargz.TOCEntryVerifier, name string, want []byte) error {
	file, err := layer.OpenFile(name)
	if err != nil {
		return err
	}
	for at := int64(0); at < int64(len(want)); {
		chunk, found := layer.ChunkEntryForOffset(name, at)
		if !found || chunk.ChunkOffset != at {
			return fmt.Errorf("no chunk at %d", at)
		}
		part := make([]byte, chunk.ChunkSize)
		if _, err := io.ReadFull(io.NewSectionReader(file, at, chunk.ChunkSize), part); err != nil {
			return err
		}
		v, err := verifier.Verifier(chunk)
		if err != nil {
			return err
		}
		if _, err := v.Write(part); err != nil || !v.Verified() {
			return fmt.Errorf("the chunk at %d is not the one of its digest", at)
		}
		if !bytes.Equal(part, want[at:at+chunk.ChunkSize]) {
			return fmt.Errorf("the chunk at %d differs", at)
		}
		at += chunk.ChunkSize
	}
	return nil
}

type object map[string]any

// layout writes an image's blobs and what leads to them.
func layout(kind, source, dir string) error {
	blob, annotations, diffID, mediaType := []byte(nil), map[string]string{}, digest.Digest(""), "+gzip"
	var err error
	if kind == "estargz" {
		blob, diffID, err = build(source, annotations)
	} else {
		mediaType = "+zstd"
		blob, diffID, err = chunked(source, annotations)
	}
	if err != nil {
		return err
	}
	config := document(object{
		"architecture": "amd64", "os": "linux", "config": object{},
		"rootfs": object{"type": "layers", "diff_ids": []digest.Digest{diffID}},
	})
	layer := descriptor("application/vnd.oci.image.layer.v1.tar"+mediaType, blob)
	layer["annotations"] = annotations
	manifest := document(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": descriptor("application/vnd.oci.image.config.v1+json", config),
		"layers": []object{layer},
	})
	index := document(object{
		"schemaVersion": 2,
		"manifests":     []object{descriptor("application/vnd.oci.image.manifest.v1+json", manifest)},
	})
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	for _, content := range [][]byte{blob, config, manifest} {
		if err := os.WriteFile(filepath.Join(blobs, digest.FromBytes(content).Encoded()), content, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644)
}

func descriptor(mediaType string, content []byte) object {
	return object{"mediaType": mediaType, "digest": digest.FromBytes(content), "size": len(content)}
}

func document(content object) []byte {
	text, err := json.Marshal(content)
	if err != nil {
		panic(err)
	}
	return text
}

func build(source string, annotations map[string]string) ([]byte, digest.Digest, error) {
	sr, err := section(source)
	if err != nil {
		return nil, "", err
	}
	made, err := estargz.Build(sr)
	if err != nil {
		return nil, "", err
	}
	blob, err := io.ReadAll(made)
	if err != nil {
		return nil, "", err
	}
	annotations[estargz.TOCJSONDigestAnnotation] = made.TOCDigest().String()
	return blob, made.DiffID(), made.Close()
}

func chunked(source string, annotations map[string]string) ([]byte, digest.Digest, error) {
	tar, err := os.ReadFile(source)
	if err != nil {
		return nil, "", err
	}
	var blob bytes.Buffer
	writer, err := compressor.ZstdCompressor(&blob, annotations, nil)
	if err != nil {
		return nil, "", err
	}
	if _, err := writer.Write(tar); err != nil {
		return nil, "", err
	}
	if err := writer.Close(); err != nil {
		return nil, "", err
	}
	return blob.Bytes(), digest.FromBytes(tar), nil
}
