# parbuckle. `make help` says what there is.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION   := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
PREFIX    ?= /usr/local
LIBDIR    ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR    ?= $(PREFIX)/bin
DESTDIR   ?=
CARGO     ?= cargo
OUT       := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)/release
# What rustc's --print native-static-libs names: a static link needs them.
NATIVE_LIBS := -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc

export OUT
export LD_LIBRARY_PATH := $(OUT)$(if $(LD_LIBRARY_PATH),:$(LD_LIBRARY_PATH))
export PKG_CONFIG_PATH := $(OUT)/pkgconfig$(if $(PKG_CONFIG_PATH),:$(PKG_CONFIG_PATH))

.PHONY: help build demo test bench install uninstall docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

build: ## the library (shared and static) and the parb command, in target/release
	$(CARGO) build --release --features cli --lib --bins --examples
	@ln -sf libparbuckle.so $(OUT)/libparbuckle.so.$(SOVERSION)
	@mkdir -p $(OUT)/pkgconfig
	@$(call pc,$(CURDIR),$(OUT),$(CURDIR)/include) > $(OUT)/pkgconfig/parbuckle-uninstalled.pc

demo: build ## pull, change and push an image from C, C++, Go, Python and Rust against a registry of its own
	@examples/demo.sh

test: build ## everything, against our own registry, Debian's, and the peers; installs what it needs
	@tests/run.sh

bench: build ## the workloads beside crane, regctl and skopeo (those that are on PATH)
	@benches/run.sh

install: build ## into PREFIX (/usr/local), below DESTDIR
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/parbuckle $(DESTDIR)$(INCLUDEDIR)/parbuckle $(DESTDIR)$(BINDIR)
	install -m 755 $(OUT)/libparbuckle.so $(DESTDIR)$(LIBDIR)/libparbuckle.so.$(VERSION)
	ln -sf libparbuckle.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libparbuckle.so.$(SOVERSION)
	ln -sf libparbuckle.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libparbuckle.so
	install -m 644 $(OUT)/libparbuckle.a $(DESTDIR)$(LIBDIR)/libparbuckle.a
	strip --strip-debug $(DESTDIR)$(LIBDIR)/libparbuckle.a
	install -m 644 include/parbuckle.h include/parbuckle.hpp $(DESTDIR)$(INCLUDEDIR)
	install -m 644 include/parbuckle/*.hpp $(DESTDIR)$(INCLUDEDIR)/parbuckle
	$(call pc,$(PREFIX),$(LIBDIR),$(INCLUDEDIR)) > $(DESTDIR)$(LIBDIR)/pkgconfig/parbuckle.pc
	$(call cmake,parbuckleConfig)
	$(call cmake,parbuckleConfigVersion)
	install -m 755 $(OUT)/parb $(DESTDIR)$(BINDIR)/parb

uninstall: ## what install put there
	rm -f $(DESTDIR)$(LIBDIR)/libparbuckle.{a,so,so.$(SOVERSION),so.$(VERSION)} $(DESTDIR)$(INCLUDEDIR)/parbuckle.{h,hpp}
	rm -f $(DESTDIR)$(LIBDIR)/pkgconfig/parbuckle.pc $(DESTDIR)$(BINDIR)/parb
	rm -rf $(DESTDIR)$(LIBDIR)/cmake/parbuckle $(DESTDIR)$(INCLUDEDIR)/parbuckle

docs: ## the C and Rust reference, in target/doc
	$(CARGO) doc --no-deps --features cli
	@mkdir -p target/doc
	doxygen docs/Doxyfile

clean: ## what the build made
	$(CARGO) clean

# $(call pc,prefix,libdir,includedir): the pkg-config file for them.
pc = sed -e 's|@PREFIX@|$(1)|g' -e 's|@LIBDIR@|$(2)|g' -e 's|@INCLUDEDIR@|$(3)|g' -e 's|@VERSION@|$(VERSION)|g' \
	-e 's|@LIBS_PRIVATE@|$(NATIVE_LIBS)|g' bindings/c/parbuckle.pc.in

# $(call cmake,name): the CMake file of that name, installed. It finds the rest from where it lies itself.
cmake = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@SOVERSION@|$(SOVERSION)|g' \
	-e 's|@NATIVE_LIBS@|$(subst $(space),;,$(NATIVE_LIBS:-l%=%))|g' \
	-e "s|@INCLUDEDIR_FROM_HERE@|$$(realpath -m --relative-to=$(LIBDIR)/cmake/parbuckle $(INCLUDEDIR))|g" \
	bindings/c/$(1).cmake.in > $(DESTDIR)$(LIBDIR)/cmake/parbuckle/$(1).cmake
empty :=
space := $(empty) $(empty)
