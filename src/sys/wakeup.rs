//! A descriptor that is readable while something is there.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// An eventfd on Linux, a pipe elsewhere. [`Wakeup::raise`] and [`Wakeup::lower`] are called under one lock.
pub(crate) struct Wakeup {
    read: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    write: OwnedFd,
    raised: AtomicBool,
}

impl Wakeup {
    pub(crate) fn new() -> Result<Wakeup> {
        let failed = || Error::io("opening a descriptor", "the completion queue", &std::io::Error::last_os_error());
        #[cfg(target_os = "linux")]
        {
            // SAFETY: no pointers; the descriptor is checked and then owned here alone.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(failed());
            }
            // SAFETY: just opened.
            Ok(Wakeup { read: unsafe { OwnedFd::from_raw_fd(fd) }, raised: AtomicBool::new(false) })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let mut ends = [0; 2];
            // SAFETY: room for two descriptors, which are checked and then owned here alone.
            unsafe {
                if libc::pipe(ends.as_mut_ptr()) != 0 {
                    return Err(failed());
                }
                for fd in ends {
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                    libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK);
                }
                let (read, write) = (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]));
                Ok(Wakeup { read, write, raised: AtomicBool::new(false) })
            }
        }
    }

    pub(crate) fn fd(&self) -> isize {
        self.read.as_raw_fd() as isize
    }

    /// Makes it readable.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::Relaxed) {
            let one = 1u64.to_ne_bytes();
            #[cfg(target_os = "linux")]
            let (fd, len) = (self.read.as_raw_fd(), one.len());
            #[cfg(not(target_os = "linux"))]
            let (fd, len) = (self.write.as_raw_fd(), 1);
            // SAFETY: `one` has so many bytes. Neither an eventfd at 0 nor an empty pipe refuses them.
            unsafe { libc::write(fd, one.as_ptr().cast(), len) };
        }
    }

    /// Makes it unreadable.
    pub(crate) fn lower(&self) {
        if self.raised.swap(false, Ordering::Relaxed) {
            let mut buf = [0u8; 8];
            // SAFETY: `buf` has so many bytes; one read empties what one raise wrote.
            unsafe { libc::read(self.read.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len()) };
        }
    }
}
