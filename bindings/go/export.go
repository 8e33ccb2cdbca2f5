package parbuckle

// #include <parbuckle.h>
import "C"

import "unsafe"

// What C calls, on threads of its own. Nothing of Go's goes through: only numbers that the table of what was lent
// knows.

//export parbuckleGoRead
func parbuckleGoRead(user C.uintptr_t, buf *C.uint8_t, size C.size_t, outN *C.size_t) (answer *C.parb_error) {
	defer recovered(&answer)
	n, err := lent.get(user).(*source).read(unsafe.Slice((*byte)(buf), int(size)))
	if err != nil {
		return lendError(err)
	}
	*outN = C.size_t(n)
	return nil
}

//export parbuckleGoOpen
func parbuckleGoOpen(user C.uintptr_t, blob *C.parb_descriptor, offset C.uint64_t, out **C.parb_source) (answer *C.parb_error) {
	defer recovered(&answer)
	stream, err := lent.get(user).(*opener).at(newDescriptor(C.parb_descriptor_clone(blob)), uint64(offset))
	if err != nil {
		return lendError(err)
	}
	*out = newSource(ended{stream}).c
	return nil
}

//export parbuckleGoExists
func parbuckleGoExists(user C.uintptr_t, blob *C.parb_descriptor, outExists *C.int32_t) (answer *C.parb_error) {
	defer recovered(&answer)
	o := lent.get(user).(*opener)
	exists, err := o.exists(o.ctx, newDescriptor(C.parb_descriptor_clone(blob)))
	if err != nil {
		return lendError(err)
	}
	*outExists = 0
	if exists {
		*outExists = 1
	}
	return nil
}

//export parbuckleGoDestroy
func parbuckleGoDestroy(user C.uintptr_t) {
	if ended, ok := lent.remove(user).(*source); ok {
		ended.end()
	}
}
