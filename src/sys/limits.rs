//! Limits of the process.
#![allow(unsafe_code)]

/// Raises the soft limit on open descriptors to the hard one, as far as the system lets us.
pub(crate) fn raise_descriptors() {
    #[cfg(unix)]
    // SAFETY: both calls get a valid, initialised structure that outlives them.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
