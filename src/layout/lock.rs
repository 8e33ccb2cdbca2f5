//! What keeps several processes out of each other's way. All locks are `flock`s on files in the layout's own
//! directory, so that they go with a process that is killed; other programs neither see nor need them.
//!
//! * `lock`: whoever puts blobs holds it shared, from the first blob to the entry in index.json that names them;
//!   a collection of garbage holds it alone. So no blob goes while somebody is about to name it.
//! * `gate`: passed on the way to `lock`. A collection waits holding it, so that writers who keep coming can't keep
//!   it waiting for ever.
//! * `index`: held alone for each reading, changing and writing of index.json.

use super::files::{OWN, ensure_dir};
use crate::error::{Code, Error, Result};
use crate::source::Place;
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long is waited between two looks at a lock: doubling from the first to the last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// A lock that is held; a clone holds the same one. Jobs of the pool run on when a call is cancelled, so each that
/// needs the lock has its own clone.
#[derive(Clone)]
pub(super) struct Held(#[expect(dead_code, reason = "held for its drop")] Arc<Lock>);

struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough where a fork has copied the descriptor.
        let _ = self.0.unlock();
    }
}

/// For who puts blobs.
pub(super) async fn to_write(place: &Place, root: &Arc<Path>) -> Result<Held> {
    let _gate = take(place, root, "gate", Mode::Shared).await?;
    take(place, root, "lock", Mode::Shared).await
}

/// For who removes blobs.
pub(super) async fn to_collect(place: &Place, root: &Arc<Path>) -> Result<Held> {
    let _gate = take(place, root, "gate", Mode::Alone).await?;
    take(place, root, "lock", Mode::Alone).await
}

/// For who changes index.json.
pub(super) async fn to_edit(place: &Place, root: &Arc<Path>) -> Result<Held> {
    take(place, root, "index", Mode::Alone).await
}

/// For who only looks; `None` where nobody has ever locked this layout, or this process may not.
pub(super) async fn to_look(place: &Place, root: &Arc<Path>) -> Option<Held> {
    match root.join(OWN).join("lock").exists() {
        true => to_write(place, root).await.ok(),
        false => None,
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Alone,
}

async fn take(place: &Place, root: &Arc<Path>, name: &'static str, mode: Mode) -> Result<Held> {
    let mut pause = PAUSE.0;
    let opened = root.clone();
    let mut file = place.engine.pool().run(move || open(&opened, name)).await??;
    loop {
        // Never a wait on the pool: its threads belong to all.
        let path = root.clone();
        let tried = place.engine.pool().run(move || {
            let tried = match mode {
                Mode::Shared => file.try_lock_shared(),
                Mode::Alone => file.try_lock(),
            };
            match tried {
                Ok(()) => Ok(Ok(Held(Arc::new(Lock(file))))),
                Err(TryLockError::WouldBlock) => Ok(Err(file)),
                Err(TryLockError::Error(e)) => Err(Error::io("locking", path.join(OWN).join(name).display(), &e)),
            }
        });
        match tried.await?? {
            Ok(held) => return Ok(held),
            Err(again) => file = again,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn open(root: &Path, name: &str) -> Result<File> {
    let own = root.join(OWN);
    ensure_dir(&own, false)?;
    let path = own.join(name);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path).map_err(|e| {
        let error = Error::new(Code::Io, format!("opening a lock file: {e}")).subject(path.display());
        e.raw_os_error().map_or(error.clone(), |code| error.os_code(code))
    })
}
