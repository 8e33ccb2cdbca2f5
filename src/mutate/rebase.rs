//! Another base below an image: new layers at the bottom, the image's own on top, nothing read but configs.

use crate::builder::{family, layer_entry};
use crate::context::Context;
use crate::digest::Digest;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::index::{Child, DEPTH, Index, too_deep};
use crate::index_builder::IndexBuilder;
use crate::matcher::Matcher;
use crate::oci::{Config, Descriptor, History, Platform};
use crate::options::Options;
use crate::pick::no_image_for;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The annotation with the name of an image's base (image spec, annotations.md).
pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// The annotation with the digest of an image's base.
pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
/// By this annotation of its entry, BuildKit's attestation names the image that it is about.
pub(super) const REFERENCE: &str = "vnd.docker.reference.digest";
/// And by this one, what it is to that.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// What an image says of its base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BaseAnnotations {
    /// Its name, as it was written down.
    pub name: Option<String>,
    /// Its digest.
    pub digest: Option<Digest>,
}

impl Image {
    /// What the image's annotations say of its base; nothing where a digest is none.
    pub fn base_annotations(&self) -> BaseAnnotations {
        let said = |key: &str| self.manifest().annotations().get(key);
        BaseAnnotations {
            name: said(BASE_NAME).filter(|name| !name.is_empty()).cloned(),
            digest: said(BASE_DIGEST).and_then(|text| text.parse().ok()),
        }
    }

    /// This image on `new_base`, where it was on `old_base`. The layers of the old base must be the image's lowest, by
    /// their digests, or, where they were compressed anew, by their diff ids.
    ///
    /// Layers and history of the old base give way to the new one's; operating system, architecture, variant and
    /// features are the new one's, everything else (how it is run, author, creation, annotations, subject, unknown
    /// members) stays the image's. All layers carry media types of the image's family. The annotations that name the
    /// base follow: the digest becomes the new base's where one was annotated or `name` is given, and the name becomes
    /// `name`, or stays.
    ///
    /// Errors: `InvalidArgument` where the image is not on the old base; `Malformed` where a history tells of more
    /// layers than there are; those of reading the configs. Options: none.
    pub fn rebase(
        &self,
        old_base: &Image,
        new_base: &Image,
        name: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Image> {
        if let Err(e) = options.only("rebase", &[]) {
            return Task::ready(Err(e));
        }
        let (image, old, new) = (self.clone(), old_base.clone(), new_base.clone());
        let name = name.map(ToOwned::to_owned);
        self.home().clone().spawn(ctx, |ctx| async move { rebase(&image, &old, &new, name.as_deref(), &ctx).await })
    }
}

impl Index {
    /// Every image of this index on the image of `new_base` for its platform, where it was on that of `old_base`;
    /// nested indexes likewise. The platform is the very one, but for features, and for the last part of a Windows
    /// build where the base has another one now: the entry then says the new one. Entries for `unknown`, and those that
    /// are no images, stay. Attestations of images that changed are left out: what they attest is no longer so.
    ///
    /// Errors: as for [`Image::rebase`], with the platform's image as subject; `NotFound` where a base has no image for
    /// a platform. Options: none.
    pub fn rebase(
        &self,
        old_base: &Index,
        new_base: &Index,
        name: Option<&str>,
        options: &Options,
        ctx: &Context,
    ) -> Task<Index> {
        if let Err(e) = options.only("rebase", &[]) {
            return Task::ready(Err(e));
        }
        let (index, old, new) = (self.clone(), old_base.clone(), new_base.clone());
        let name = name.map(ToOwned::to_owned);
        self.home().clone().spawn(ctx, |ctx| async move {
            let bases = Bases { old, new, name };
            bases.below(&index, &ctx, 0).await
        })
    }
}

struct Bases {
    old: Index,
    new: Index,
    name: Option<String>,
}

impl Bases {
    fn below<'a>(&'a self, index: &'a Index, ctx: &'a Context, depth: usize) -> BoxFuture<'a, Result<Index>> {
        async move {
            if depth >= DEPTH {
                return Err(too_deep());
            }
            let mut builder = IndexBuilder::new(index);
            for entry in index.manifest().manifests() {
                if is_attestation(entry) {
                    continue;
                }
                let new = match index.read(ctx, entry).await? {
                    Child::Index(nested) => Child::Index(self.below(&nested, ctx, depth + 1).await?),
                    // An artifact has no base.
                    Child::Image(image) if !image.manifest().config().media_type.is_config() => continue,
                    Child::Image(image) => {
                        let platform = match &entry.platform {
                            Some(platform) => Some(platform.clone()),
                            None => image.config_holder().get(ctx).await?.platform(),
                        };
                        if platform.as_ref().is_some_and(|p| p.os == "unknown") {
                            continue; // an attestation whose annotation was lost, or its like
                        }
                        let platform = platform.ok_or_else(|| {
                            invalid("neither the index nor its config says what this image runs on")
                                .subject(&entry.digest)
                        })?;
                        let (old, new) =
                            (pick(&self.old, &platform, ctx).await?, pick(&self.new, &platform, ctx).await?);
                        let made = rebase(&image, &old, &new, self.name.as_deref(), ctx).await;
                        Child::Image(made.map_err(|e| e.or_subject(&entry.digest))?)
                    }
                };
                if new.descriptor().digest != entry.digest {
                    let about = Matcher::new().annotation(REFERENCE, Some(entry.digest.as_str()));
                    let annotations = match &new {
                        Child::Image(image) => image.manifest().annotations().clone(),
                        Child::Index(_) => Default::default(),
                    };
                    let now = Matcher::new().digest(new.descriptor().digest.clone());
                    let platform = match &new {
                        Child::Image(image) => moved(entry, image, ctx).await?,
                        Child::Index(_) => None,
                    };
                    builder.remove(&about).replace(&entry.digest, new);
                    if let Some(platform) = platform {
                        builder.set_platform(&now, platform);
                    }
                    // Entries often repeat what their manifests say.
                    for key in [BASE_DIGEST, BASE_NAME].into_iter().filter(|key| entry.annotations.contains_key(*key)) {
                        builder.annotate(&now, key, annotations.get(key).map(String::as_str))?;
                    }
                }
            }
            builder.make(crate::options::Format::Oci, index.home().clone(), ctx).await
        }
        .boxed()
    }
}

/// As BuildKit marks them in the index; an image may well be for an unknown platform.
pub(super) fn is_attestation(entry: &Descriptor) -> bool {
    [REFERENCE, REFERENCE_TYPE].iter().any(|key| entry.annotations.contains_key(*key))
}

/// The base's image for the very platform. One that merely runs there would make an image that does less than its entry
/// says, or one for more than it says that doesn't run.
async fn pick(base: &Index, platform: &Platform, ctx: &Context) -> Result<Image> {
    let mut wanted = Platform { os_features: Vec::new(), ..platform.clone() };
    let mut found = base.image_for(ctx, &wanted).await;
    // Windows: another build of the same release.
    let release = wanted.os_version.splitn(4, '.').take(3).collect::<Vec<_>>().join(".");
    if found.as_ref().is_err_and(|e| e.code() == Code::NotFound) && release != wanted.os_version {
        wanted.os_version = release;
        found = base.image_for(ctx, &wanted).await;
    }
    let image = found.map_err(|e| e.or_subject(base.digest()))?;
    match image.config_holder().get(ctx).await?.platform() {
        Some(is) if is.normalized().variant != wanted.normalized().variant => {
            Err(no_image_for(&wanted, "the base", &[is]).subject(base.digest()))
        }
        _ => Ok(image),
    }
}

/// The entry's platform, where the new base is of another version, or has other features.
async fn moved(entry: &Descriptor, image: &Image, ctx: &Context) -> Result<Option<Platform>> {
    let Some(said) = &entry.platform else { return Ok(None) };
    let config = image.config_holder().get(ctx).await?.doc();
    let mut now = said.clone();
    if !said.os_version.is_empty() && !config.os_version.is_empty() {
        now.os_version = config.os_version.clone();
    }
    if !said.os_features.is_empty() {
        now.os_features = config.os_features.clone();
    }
    Ok((now != *said).then_some(now))
}

async fn rebase(image: &Image, old: &Image, new: &Image, name: Option<&str>, ctx: &Context) -> Result<Image> {
    let (own, old_config) = (image.config_holder().get(ctx).await?, old.config_holder().get(ctx).await?);
    let new_config = new.config_holder().get(ctx).await?;
    let below = old.layers().len();
    stands_on(image, own, old, old_config)?;
    if own.diff_ids().len() != image.layers().len() {
        let why = format!("the config names {} diff ids for {} layers", own.diff_ids().len(), image.layers().len());
        return Err(Error::new(Code::Malformed, why).subject(image.digest()));
    }

    let mut doc = own.edit();
    let (top_ids, mut history) = (own.diff_ids()[below..].to_vec(), lines_of(new, new_config)?);
    history.extend(lines_above(image, own, old_config, below)?);
    let config = doc.doc_mut();
    config.rootfs.diff_ids = Some(new_config.diff_ids().iter().cloned().chain(top_ids).collect());
    // Nothing is told where nobody told anything.
    let told = !new_config.history().is_empty() || !own.history().is_empty();
    config.history = if told { history } else { Vec::new() };
    let base = new_config.doc();
    (config.os, config.architecture) = (base.os.clone(), base.architecture.clone());
    (config.os_version, config.variant) = (base.os_version.clone(), base.variant.clone());
    config.os_features = base.os_features.clone();
    let config = doc.finish()?;

    let family = family(image.manifest());
    let mut edit = image.manifest().edit();
    let lower = new.manifest().layers().iter().map(|d| layer_entry(d, family));
    let upper = image.manifest().layers()[below..].iter().map(|d| layer_entry(d, family));
    edit.doc_mut().layers = Some(lower.chain(upper).collect());
    edit.set_config(config.raw());
    let said = image.base_annotations();
    if name.is_some() || image.manifest().annotations().contains_key(BASE_DIGEST) || said.name.is_some() {
        edit.set_annotation(BASE_DIGEST, new.digest().as_str());
    }
    if let Some(name) = name {
        edit.set_annotation(BASE_NAME, name);
    }
    let manifest = edit.finish()?;
    let layers: Vec<_> = new.layers().iter().chain(&image.layers()[below..]).cloned().collect();
    Ok(Image::made(manifest.descriptor(), manifest, config, &layers, image.home().clone()))
}

/// Whether the old base's layers are the image's lowest.
fn stands_on(image: &Image, own: &Config, old: &Image, old_config: &Config) -> Result<()> {
    let (has, wants) = (image.layers().len(), old.layers().len());
    let no =
        |why: String| invalid(format!("the image is not based on {}: {why}", old.digest())).subject(image.digest());
    if wants > has {
        return Err(no(format!("it has {has} layers, and the base {wants}")));
    }
    for (i, (ours, theirs)) in image.layers().iter().zip(old.layers()).enumerate() {
        let same_blob = ours.descriptor().digest == theirs.descriptor().digest;
        let diff_ids = (own.diff_ids().get(i), old_config.diff_ids().get(i));
        let same_tar = matches!(diff_ids, (Some(ours), Some(theirs)) if ours == theirs);
        if !same_blob && !same_tar {
            return Err(no(format!("layer {i} is another one")));
        }
    }
    Ok(())
}

/// The history of a whole image, with a line for each of its layers.
fn lines_of(image: &Image, config: &Config) -> Result<Vec<History>> {
    padded(image, config.history().to_vec(), image.layers().len())
}

/// The image's own lines: those above the layers of the old base, and above its trailing lines without a layer.
fn lines_above(image: &Image, own: &Config, old: &Config, below: usize) -> Result<Vec<History>> {
    let count = image.layers().len();
    let all = padded(image, own.history().to_vec(), count)?;
    // As in the reference: so many lines as the base has. Where that does not fit the layers, those are what counts.
    let told = old.history().len();
    let of_layers = |lines: &[History]| lines.iter().filter(|h| !h.empty_layer).count();
    if all.len() >= told && of_layers(&all[..told]) == below {
        return Ok(all[told..].to_vec());
    }
    let mut seen = 0;
    let from = all.iter().position(|h| {
        seen += usize::from(!h.empty_layer);
        seen > below
    });
    Ok(from.map_or_else(Vec::new, |from| all[from..].to_vec()))
}

fn padded(image: &Image, mut history: Vec<History>, layers: usize) -> Result<Vec<History>> {
    let there = history.iter().filter(|h| !h.empty_layer).count();
    if there > layers {
        let why = format!("the history tells of {there} layers, and there are {layers}");
        return Err(Error::new(Code::Malformed, why).subject(image.digest()));
    }
    history.extend(std::iter::repeat_n(History::default(), layers - there));
    Ok(history)
}
