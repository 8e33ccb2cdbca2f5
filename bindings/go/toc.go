package parbuckle

// #include <parbuckle.h>
import "C"

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
)

// HasTOC tells whether the layer's descriptor tells of a table of contents, as those of eStargz and zstd:chunked layers
// do: then single files are read without the rest.
func (l *Layer) HasTOC() bool {
	return get(&l.h, func(p *C.parb_layer) bool { return bool(C.parb_layer_has_toc(p)) })
}

// TOCEntry is one entry of a layer's table of contents.
type TOCEntry struct {
	Path     string            `json:"path"`
	Type     string            `json:"type"` // "dir", "reg", "symlink", "hardlink", "char", "block" or "fifo"
	Size     uint64            `json:"size"`
	Mode     uint32            `json:"mode"`
	UID      uint64            `json:"uid"`
	GID      uint64            `json:"gid"`
	User     string            `json:"user"`
	Group    string            `json:"group"`
	ModTime  string            `json:"mtime"`
	Link     string            `json:"link"`
	DevMajor uint32            `json:"devMajor"`
	DevMinor uint32            `json:"devMinor"`
	Xattrs   map[string][]byte `json:"xattrs"`
	Digest   string            `json:"digest"`
}

// TOC goes through the layer's table of contents, in the tar's order. It ends with the first error; that there is no
// table is [NotFound].
func (l *Layer) TOC(ctx context.Context) iter.Seq2[TOCEntry, error] {
	return func(yield func(TOCEntry, error) bool) {
		text, err := call(ctx, &settings{}, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
			return C.parb_layer_toc_json_start(p, nil, bound, op)
		}), takeBuf, newBytes)
		if err != nil {
			yield(TOCEntry{}, err)
			return
		}
		eachOf(*text, yield)
	}
}

// eachOf decodes a JSON list of the library's piece by piece.
func eachOf[T any](list []byte, yield func(T, error) bool) {
	decoder := json.NewDecoder(bytes.NewReader(list))
	var none T
	if _, err := decoder.Token(); err != nil {
		yield(none, newCause(Internal, "the library's list is none", err))
		return
	}
	for decoder.More() {
		var item T
		if err := decoder.Decode(&item); err != nil {
			yield(none, newCause(Internal, "the library's list has something else", err))
			return
		}
		if !yield(item, nil) {
			return
		}
	}
}

// OpenFile opens one file of the layer. With a table of contents only what is needed is fetched, and each part is
// verified; without one the layer is read once and verified, before this returns. Hard links are followed. Other layers
// play no part. ctx bounds the reading too; close the reader.
func (l *Layer) OpenFile(ctx context.Context, path string) (io.ReadCloser, error) {
	s := newSettings(nil)
	defer s.free()
	text := s.text("path", path)
	return openReader(ctx, s, on(&l.h, func(p *C.parb_layer, bound *C.parb_ctx, op **C.parb_op) *C.parb_error {
		return C.parb_layer_open_file_start(p, text, s.c, bound, op)
	}))
}
