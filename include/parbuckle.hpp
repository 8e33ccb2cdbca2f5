// parbuckle: container images, for C++17 and later. Header only: every call is one call of parbuckle.h.
// Copyright the parbuckle authors. Licence: Apache-2.0.
//
// Errors     What fails throws parbuckle::Error. An exception thrown by a callback of yours (a Source, what Blobs call)
//            comes out of the call that ran it as itself.
// Ownership  Objects own their handles. Copies of Ref, Image, Index, Layer, Descriptor, Keychain, Layout, Archive and
//            Daemon are cheap handles of the same value; the others are moved only. A moved-from object can be assigned
//            to and destroyed.
// Lifetime   std::string_view, DescriptorView, Strings, Map, Finding and File are lent: they live as long as the object
//            that gave them. A view whose data() is null says that there is nothing of the kind (no tag, no user).
// Nothing    Where a text may be left out, std::nullopt leaves it out, and so does {}.
// Waiting    What can block takes a Context, which cancels it or bounds it in time, and has a twin named ..._start
//            that returns at once with an Op; Op::future makes a std::future of it.
// Threads    const members may be called by many threads at once, others by one at a time.
#ifndef PARBUCKLE_HPP
#define PARBUCKLE_HPP

#include <parbuckle.h>
#include <parbuckle/archive.hpp>
#include <parbuckle/builder.hpp>
#include <parbuckle/cache.hpp>
#include <parbuckle/client.hpp>
#include <parbuckle/daemon.hpp>
#include <parbuckle/layout.hpp>
#include <parbuckle/memory.hpp>
#include <parbuckle/parts.hpp>
#include <parbuckle/server.hpp>

namespace parbuckle {

/// The version of the library that is loaded, such as "0.1.0".
inline std::string_view version() noexcept { return detail::lent(parb_version()); }
/// Whether the library that is loaded is at least as new as this header.
inline bool is_new_enough() noexcept { return parb_version_number() >= PARB_VERSION_NUMBER; }
/// How it was built, as a JSON object.
inline std::string_view build_info() noexcept { return detail::lent(parb_build_info()); }
inline bool has_feature(const Text &name) noexcept { return parb_has_feature(name.c_str()); }

}  // namespace parbuckle

#endif  // PARBUCKLE_HPP
