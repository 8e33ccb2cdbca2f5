//! What the host gives us to call: a function, its user pointer, and what ends both.

use crate::context::{Context, Event, lock};
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::ffi::boundary::Lent;
use crate::ffi::context::{EventHandle, parb_event, parb_event_cb};
use crate::ffi::error::parb_error;
use crate::writer::HostStream;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

/// Called once, when `user` is not needed any more; on any thread.
pub type parb_destroy_cb = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// Reads up to `cap` bytes into `buf` and writes their number to `out_n`; 0 is the end. Runs on a thread of its own and
/// may wait. Returns NULL, or an error made by parb_error_new.
pub type parb_read_cb =
    Option<unsafe extern "C" fn(user: *mut c_void, buf: *mut u8, cap: usize, out_n: *mut usize) -> *mut parb_error>;

/// Goes back to the start of a stream. Returns NULL, or an error made by parb_error_new.
pub type parb_rewind_cb = Option<unsafe extern "C" fn(user: *mut c_void) -> *mut parb_error>;

/// The host's pointer with its destructor, which runs exactly once, on whatever path the last owner goes.
pub(crate) struct Foreign {
    user: *mut c_void,
    destroy: parb_destroy_cb,
}

// SAFETY: the header says that callbacks run on other threads; what `user` points to is the host's care.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Foreign {
    pub(crate) fn new(user: *mut c_void, destroy: parb_destroy_cb) -> Foreign {
        Foreign { user, destroy }
    }
    pub(crate) fn user(&self) -> *mut c_void {
        self.user
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the host's function, called with what the host gave for it.
            unsafe { destroy(self.user) };
        }
    }
}

/// Hands events to the host on a thread of its own, in order, and never holds up whoever tells them.
struct Events {
    waiting: Mutex<Waiting>,
    cb: unsafe extern "C" fn(user: *mut c_void, event: *const parb_event),
    foreign: Foreign,
    engine: Arc<Engine>,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    running: bool,
}

/// A host that is slower than this many events loses the oldest; the counts in later ones include them.
const MOST_WAITING: usize = 1024;

/// Has the host's function called for each event of `ctx`.
pub(crate) fn send_events(ctx: &Context, cb: parb_event_cb, foreign: Foreign) -> Result<()> {
    let Some(cb) = cb else {
        ctx.off_event();
        return Ok(());
    };
    let events = Arc::new(Events { waiting: Mutex::default(), cb, foreign, engine: Engine::get()? });
    ctx.on_event(move |event| Events::tell(&events, event));
    Ok(())
}

impl Events {
    fn tell(this: &Arc<Events>, event: &Event) {
        let mut waiting = lock(&this.waiting);
        if waiting.events.len() >= MOST_WAITING {
            waiting.events.pop_front();
        }
        waiting.events.push_back(event.clone());
        if waiting.running {
            return;
        }
        let events = this.clone();
        // Without a thread for it the event waits for the next one.
        waiting.running = this.engine.callback(move || events.drain()).is_ok();
    }

    fn drain(&self) {
        loop {
            let event = {
                let mut waiting = lock(&self.waiting);
                match waiting.events.pop_front() {
                    Some(event) => event,
                    None => {
                        waiting.running = false;
                        return;
                    }
                }
            };
            let lent = Lent::<parb_event>::new(EventHandle::new(&event));
            // SAFETY: the host's function; the event lives until it returns.
            unsafe { (self.cb)(self.foreign.user(), lent.as_ptr()) };
        }
    }
}

/// A stream of the host.
pub(crate) struct ForeignStream {
    pub read: unsafe extern "C" fn(*mut c_void, *mut u8, usize, *mut usize) -> *mut parb_error,
    pub rewind: parb_rewind_cb,
    pub foreign: Foreign,
}

impl HostStream for ForeignStream {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut n = 0;
        // SAFETY: the host's function, with a buffer of the length it is told.
        let failed = unsafe { (self.read)(self.foreign.user(), buf.as_mut_ptr(), buf.len(), &raw mut n) };
        answered(failed)?;
        match n <= buf.len() {
            true => Ok(n),
            false => Err(Error::new(Code::Callback, "the read callback tells of more bytes than there was room for")),
        }
    }
    fn rewind(&mut self) -> Option<Result<()>> {
        // SAFETY: the host's function.
        self.rewind.map(|rewind| answered(unsafe { rewind(self.foreign.user()) }))
    }
}

pub(crate) fn answered(error: *mut parb_error) -> Result<()> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the header gives callbacks only one way to make an error, and that it is ours then.
    let told = unsafe { crate::ffi::error::taken(error) };
    Err(told.unwrap_or_else(|| Error::new(Code::Callback, "the callback returned something that is no parb_error")))
}
