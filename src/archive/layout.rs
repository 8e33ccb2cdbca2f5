//! New OCI layouts in a tar: index.json in front, then manifests and blobs in the order in which they are named.

use super::oci::blob_name;
use super::plan::Plan;
use super::write::ArchiveItem;
use crate::context::{Context, lock};
use crate::digest::Digest;
use crate::error::{Code, Error, Result};
use crate::index::Child;
use crate::matcher::renamed;
use crate::oci::{Descriptor, IndexManifest};
use crate::source::Source;
use crate::transfer::{Target, below};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Bytes of manifests that are kept until they are written.
const MAX_MANIFESTS: usize = 16 << 20;
const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The whole archive.
///
/// Errors: `LimitExceeded` where there are too many manifests, or indexes are nested too deep.
pub(super) async fn plan(items: &[ArchiveItem], foreign_layers: bool, ctx: &Context) -> Result<Plan> {
    let mut index = IndexManifest::empty(true).edit();
    let mut plan = Plan { counted: true, ..Plan::default() };
    let mut seen = HashSet::new();
    for item in items {
        let entry = renamed(item.value.descriptor().clone(), item.name.clone());
        if seen.insert((entry.digest.clone(), item.name.clone())) {
            index.append(entry);
        }
    }
    plan.bytes("oci-layout", OCI_LAYOUT);
    plan.bytes("index.json", index.finish()?.raw().clone());
    let tar = Tar { foreign_layers, state: Mutex::new(State { plan, there: HashSet::new(), kept: 0 }) };
    for item in items {
        tar.manifest(ctx, &item.value).await?;
        below(&item.value, &tar, ctx).await?;
    }
    let state = tar.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(state.plan)
}

struct Tar {
    foreign_layers: bool,
    state: Mutex<State>,
}

struct State {
    plan: Plan,
    there: HashSet<Digest>,
    kept: usize,
}

impl Target for Tar {
    fn blob<'a>(
        &'a self,
        _: &'a Context,
        blob: &'a Descriptor,
        source: &'a Arc<dyn Source>,
    ) -> BoxFuture<'a, Result<()>> {
        let mut state = lock(&self.state);
        if state.there.insert(blob.digest.clone()) {
            state.plan.blob(blob_name(&blob.digest), blob, source);
        }
        ready(Ok(())).boxed()
    }
    fn manifest<'a>(&'a self, _: &'a Context, child: &'a Child) -> BoxFuture<'a, Result<()>> {
        let mut state = lock(&self.state);
        if state.there.insert(child.descriptor().digest.clone()) {
            state.kept += child.raw().len();
            if state.kept > MAX_MANIFESTS {
                let why = format!("more than {MAX_MANIFESTS} bytes of manifests for one archive");
                return ready(Err(Error::new(Code::LimitExceeded, why))).boxed();
            }
            state.plan.bytes(blob_name(&child.descriptor().digest), child.raw().clone());
        }
        ready(Ok(())).boxed()
    }
    fn jobs(&self) -> usize {
        1 // the order is the archive's
    }
    fn foreign_layers(&self) -> bool {
        self.foreign_layers
    }
}
