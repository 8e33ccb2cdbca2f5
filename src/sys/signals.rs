//! Signals stay with the host's threads.
//!
//! A thread of this library blocks every signal but those that report a fault of the thread itself (and the
//! profiler's), so that handlers of the host never run on it, and so that a write to a closed socket is `EPIPE`
//! instead of the end of a host that left `SIGPIPE` at its default.
#![allow(unsafe_code)]

/// To be called once at the start of each thread of this library.
pub(crate) fn block_on_this_thread() {
    #[cfg(unix)]
    {
        use libc::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPROF, SIGSEGV, SIGSYS, SIGTRAP};
        // SAFETY: `set` is initialised by sigfillset before it is read; the calls only change this thread's mask.
        unsafe {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(set.as_mut_ptr());
            for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF] {
                libc::sigdelset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
    }
}

/// Blocks, like above, on the calling thread of the host and returns what undoes it: for the moment in which a
/// runtime is made, whose threads inherit the mask before their own first instruction.
pub(crate) struct Guard(#[cfg(unix)] libc::sigset_t);

impl Guard {
    pub(crate) fn new() -> Guard {
        #[cfg(unix)]
        // SAFETY: the old mask is written by the first call, which only reads the empty set.
        unsafe {
            let mut empty = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(empty.as_mut_ptr());
            let mut old = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::pthread_sigmask(libc::SIG_BLOCK, empty.as_ptr(), old.as_mut_ptr());
            block_on_this_thread();
            Guard(old.assume_init())
        }
        #[cfg(not(unix))]
        Guard()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        #[cfg(unix)]
        // SAFETY: the mask is the one that this thread had.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut());
        }
    }
}
