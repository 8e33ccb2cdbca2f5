//! Waiting for a descriptor, on a thread that may wait.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Waits until a descriptor that does not block has bytes to give, or is at its end.
pub(crate) fn to_read(file: &File) -> io::Result<()> {
    poll(file, libc::POLLIN)
}

/// Waits until a descriptor that does not block takes more bytes.
pub(crate) fn to_write(file: &File) -> io::Result<()> {
    poll(file, libc::POLLOUT)
}

fn poll(file: &File, events: libc::c_short) -> io::Result<()> {
    let mut wanted = libc::pollfd { fd: file.as_raw_fd(), events, revents: 0 };
    // SAFETY: one initialised structure, which outlives the call.
    match unsafe { libc::poll(&raw mut wanted, 1, -1) } {
        n if n < 0 => match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            e => Err(e),
        },
        _ => Ok(()),
    }
}
