package parbuckle

// #include <stdlib.h>
// #include <parbuckle.h>
import "C"

import (
	"context"
	"strings"
	"unsafe"
)

// arena holds what a C call is given for as long as it takes, and remembers the first thing that it can't be given.
type arena struct {
	err   error
	texts []unsafe.Pointer
	lists []*C.parb_strings
	refs  []*C.parb_ref
	frees []func()
}

func (a *arena) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// text copies a text. What is the matter with it is found in err, which is to be looked at before the call.
func (a *arena) text(name, text string) *C.char {
	if strings.IndexByte(text, 0) >= 0 {
		a.fail(newError(InvalidArgument, name+" holds a NUL character"))
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
		a.fail(newError(InvalidArgument, name+" is not UTF-8"))
		return nil
	}
	a.lists = append(a.lists, list)
	return list
}

// count is a number of things.
func (a *arena) count(name string, n int) C.uint32_t {
	if n < 0 || n > 1<<30 {
		a.fail(newError(InvalidArgument, name+": out of range"))
	}
	return C.uint32_t(n)
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

// referenceIn is as reference, but NULL for "", and what is the matter is found in err.
func (a *arena) referenceIn(text string) *C.parb_ref {
	if text == "" {
		return nil
	}
	reference, err := a.reference(text)
	if err != nil {
		a.fail(err)
	}
	return reference
}

// image is a handle of its own for the same image, so that no two locks are held at once; NULL for a closed one, which
// is a mistake like others. So are index and layer.
func (a *arena) image(image *Image) *C.parb_image {
	return another(a, &image.h, func(p *C.parb_image) *C.parb_image { return C.parb_image_clone(p) },
		func(p *C.parb_image) { C.parb_image_free(p) })
}

func (a *arena) index(index *Index) *C.parb_index {
	return another(a, &index.h, func(p *C.parb_index) *C.parb_index { return C.parb_index_clone(p) },
		func(p *C.parb_index) { C.parb_index_free(p) })
}

func (a *arena) layer(layer *Layer) *C.parb_layer {
	return another(a, &layer.h, func(p *C.parb_layer) *C.parb_layer { return C.parb_layer_clone(p) },
		func(p *C.parb_layer) { C.parb_layer_free(p) })
}

func another[P comparable](a *arena, h *handle[P], clone func(P) P, free func(P)) (copied P) {
	lend(a, h, func(p P) { copied = clone(p) })
	a.frees = append(a.frees, func() { free(copied) })
	return copied
}

// lend gives a handle to a setter. A closed one is a mistake like others.
func lend[P comparable](a *arena, h *handle[P], set func(P)) {
	p, err := h.acquire()
	if err != nil {
		a.fail(err)
		return
	}
	defer h.release()
	set(p)
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
	for _, free := range a.frees {
		free()
	}
	a.texts, a.lists, a.refs, a.frees = nil, nil, nil, nil
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

// goBuf copies bytes that are ours, and frees them.
func goBuf(buf *C.parb_buf) []byte {
	defer C.parb_buf_free(buf)
	return goBytes(C.parb_buf_data(buf), C.parb_buf_len(buf))
}

// takeBuf and newBytes are for calls that result in bytes.
func takeBuf(op *C.parb_op, out **C.parb_buf) *C.parb_error { return C.parb_op_take_buf(op, out) }

func newBytes(buf *C.parb_buf) *[]byte {
	bytes := goBuf(buf)
	return &bytes
}

// takeStrings and newStrings are for calls that result in a list of texts.
func takeStrings(op *C.parb_op, out **C.parb_strings) *C.parb_error {
	return C.parb_op_take_strings(op, out)
}

func newStrings(list *C.parb_strings) *[]string {
	defer C.parb_strings_free(list)
	items := goStrings(list)
	return &items
}

// list is what a call with newStrings gives.
func list(items *[]string, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return *items, nil
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
