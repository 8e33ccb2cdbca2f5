package parbuckle

// #include <stdlib.h>
// #include <parbuckle.h>
import "C"

import (
	"context"
	"strings"
	"unsafe"
)

// arena holds copies of texts for the duration of a C call, and the first text that C can't be given.
type arena struct {
	err   error
	texts []unsafe.Pointer
	lists []*C.parb_strings
	refs  []*C.parb_ref
}

// text copies a text. What is the matter with it is found in err, which is to be looked at before the call.
func (a *arena) text(name, text string) *C.char {
	if a.err == nil && strings.IndexByte(text, 0) >= 0 {
		a.err = newError(InvalidArgument, name+" holds a NUL character")
	}
	s := C.CString(text)
	a.texts = append(a.texts, unsafe.Pointer(s))
	return s
}

// optional is as text, but NULL for nil.
func (a *arena) optional(name string, text *string) *C.char {
	if text == nil {
		return nil
	}
	return a.text(name, *text)
}

// filled is as text, but NULL for "".
func (a *arena) filled(name, text string) *C.char {
	if text == "" {
		return nil
	}
	return a.text(name, text)
}

// list copies a list of texts; NULL for nil.
func (a *arena) list(name string, items []string) *C.parb_strings {
	if items == nil {
		return nil
	}
	pointers := make([]*C.char, len(items)+1) // one more, so that there is a first
	for i, item := range items {
		pointers[i] = a.text(name, item)
	}
	list := C.parb_strings_new(&pointers[0], C.size_t(len(items)))
	if list == nil {
		if a.err == nil {
			a.err = newError(InvalidArgument, name+" is not UTF-8")
		}
		return nil
	}
	a.lists = append(a.lists, list)
	return list
}

// reference parses a reference.
func (a *arena) reference(text string) (*C.parb_ref, error) {
	s := a.text("reference", text)
	if a.err != nil {
		return nil, a.err
	}
	var reference *C.parb_ref
	if e := C.parb_ref_parse(s, nil, &reference); e != nil {
		return nil, failure(context.Background(), e)
	}
	a.refs = append(a.refs, reference)
	return reference, nil
}

func (a *arena) free() {
	for _, s := range a.texts {
		C.free(s)
	}
	for _, l := range a.lists {
		C.parb_strings_free(l)
	}
	for _, r := range a.refs {
		C.parb_ref_free(r)
	}
	a.texts, a.lists, a.refs = nil, nil, nil
}

// bytesAt is the address of the first byte; NULL where there is none.
func bytesAt(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }

func goBytes(data *C.uint8_t, n C.size_t) []byte {
	if data == nil {
		return nil
	}
	copied := make([]byte, int(n))
	copy(copied, unsafe.Slice((*byte)(data), int(n)))
	return copied
}

// goStrings copies a lent list; nil for NULL.
func goStrings(list *C.parb_strings) []string {
	if list == nil {
		return nil
	}
	items := make([]string, int(C.parb_strings_count(list)))
	for i := range items {
		items[i] = C.GoString(C.parb_strings_at(list, C.size_t(i)))
	}
	return items
}

func goMap(m *C.parb_map) map[string]string {
	n := int(C.parb_map_count(m))
	pairs := make(map[string]string, n)
	for i := range n {
		pairs[C.GoString(C.parb_map_key_at(m, C.size_t(i)))] = C.GoString(C.parb_map_value_at(m, C.size_t(i)))
	}
	return pairs
}
