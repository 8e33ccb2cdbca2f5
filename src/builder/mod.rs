//! New images from old ones, or from nothing: the changes are noted, and `build` makes them.
//!
//! `build` moves no layer: layers were finished before they came here. At most it fetches the base's config. What is
//! not changed stays byte for byte; what is changed is written as the reference writes it (see [`crate::oci`]).
//!
//! * `change`: what is noted about config and manifest, and how it is applied;
//! * `layers`: the layers, with history and diff ids that stay in step with them;
//! * `convert`: Docker's media types for OCI's, and the other way round.

mod change;
mod convert;
mod layers;

use crate::context::Context;
use crate::engine::Task;
use crate::error::{Code, Error, Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::{Config, Descriptor, Healthcheck, History, MAX_CONFIG, Manifest, MediaType, Platform, Time};
use crate::options::{Format, Options};
use crate::source::{Home, Place};
use bytes::Bytes;
use change::{ConfigChange, ManifestChange};
use layers::{Stack, Step};

pub(crate) use convert::{family, is_format};
pub(crate) use layers::entry as layer_entry;

/// Notes changes to an image; [`ImageBuilder::build`] makes the new one, as often as asked.
#[derive(Clone, Default)]
pub struct ImageBuilder {
    base: Option<Image>,
    /// What is done to the layers, one after the other, and how many there are afterwards.
    steps: Vec<Step>,
    count: usize,
    /// The layer that was added or replaced last; nothing where it was no layer but only a line of history.
    last: Option<usize>,
    config: Vec<ConfigChange>,
    /// A config that is no image config, and its type.
    other_config: Option<(Bytes, MediaType)>,
    manifest: Vec<ManifestChange>,
    format: Option<Format>,
}

impl ImageBuilder {
    /// Changes to `base`.
    pub fn new(base: &Image) -> ImageBuilder {
        ImageBuilder { base: Some(base.clone()), count: base.layers().len(), ..ImageBuilder::default() }
    }
    /// An image that is based on nothing.
    pub fn from_scratch() -> ImageBuilder {
        ImageBuilder::default()
    }

    /// Puts a layer on top, with one history entry of time zero. Its media type follows the image's family. (A base
    /// with layers and without history gets an entry for each of them: history and layers stay in step.) Building:
    /// `Malformed` where the base's history or its diff ids are of another number of layers.
    pub fn add_layer(&mut self, layer: &Layer) -> &mut Self {
        self.last = Some(self.count);
        self.count += 1;
        self.step(Step::Add(layer.clone()))
    }
    /// Adds a history entry of time zero for a step that made no layer.
    pub fn add_empty_layer(&mut self) -> &mut Self {
        self.last = None;
        self.step(Step::Empty)
    }
    /// Takes a layer away, counted from the base, as the layers are by now; its history entry and diff id go with it.
    ///
    /// Errors: `InvalidArgument` where there is no such layer. Building: `Malformed` where the base's history tells of
    /// more layers than there are.
    pub fn remove_layer(&mut self, i: usize) -> Result<&mut Self> {
        self.there(i)?;
        self.count -= 1;
        self.last = None;
        Ok(self.step(Step::Remove(i)))
    }
    /// Puts another layer in the place of one; the history entry stays, unless [`ImageBuilder::set_history`] follows,
    /// for which a base without history gets an entry for each of its layers.
    ///
    /// Errors: as for [`ImageBuilder::remove_layer`].
    pub fn replace_layer(&mut self, i: usize, layer: &Layer) -> Result<&mut Self> {
        self.there(i)?;
        self.last = Some(i);
        Ok(self.step(Step::Replace(i, layer.clone())))
    }
    /// What the history says of the layer, or of the step without one, that was added or replaced last. `created` is
    /// RFC 3339; empty texts say nothing.
    ///
    /// Errors: `InvalidArgument` where nothing was added yet, or the time is none. Building: `InvalidArgument` where the
    /// image has no image config.
    pub fn set_history(
        &mut self,
        created_by: &str,
        author: &str,
        comment: &str,
        created: Option<&str>,
    ) -> Result<&mut Self> {
        let created = created.map(parse_time).transpose()?.unwrap_or_default();
        if !matches!(self.steps.last(), Some(step) if !matches!(step, Step::Remove(_))) {
            return Err(invalid("history is set for the layer added last, and none was added"));
        }
        let history = History {
            created,
            created_by: created_by.to_owned(),
            author: author.to_owned(),
            comment: comment.to_owned(),
            ..History::default()
        };
        Ok(self.step(Step::History(history)))
    }
    /// The media type of the layer added or replaced last, in place of the one that its content and the image's
    /// family give. It stays whatever [`ImageBuilder::set_format`] says.
    ///
    /// Errors: `InvalidArgument` where no layer was added yet.
    pub fn set_layer_media_type(&mut self, media_type: impl Into<MediaType>) -> Result<&mut Self> {
        let (at, media_type) = (self.last_layer()?, media_type.into());
        if media_type.is_empty() {
            return Err(invalid("a layer's media type is empty"));
        }
        Ok(self.step(Step::MediaType(at, media_type)))
    }
    /// An annotation of the descriptor of the layer added or replaced last; `None` removes it.
    ///
    /// Errors: `InvalidArgument` where no layer was added yet, or the key is empty.
    pub fn set_layer_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        let at = self.last_layer()?;
        self.annotate_layer(at, key, value)
    }
    /// Where else the layer added or replaced last can be had; an empty list says nothing. A layer that can be had
    /// elsewhere is pushed only with [`Options::foreign_layers`].
    ///
    /// Errors: `InvalidArgument` where no layer was added yet.
    pub fn set_layer_urls(&mut self, urls: Vec<String>) -> Result<&mut Self> {
        let at = self.last_layer()?;
        Ok(self.step(Step::Urls(at, urls)))
    }
    /// An annotation of the descriptor of any layer, counted from the base; `None` removes it.
    ///
    /// Errors: `InvalidArgument` where there is no such layer, or the key is empty.
    pub fn annotate_layer(&mut self, i: usize, key: &str, value: Option<&str>) -> Result<&mut Self> {
        self.there(i)?;
        check_key(key)?;
        Ok(self.step(Step::Annotation(i, key.into(), value.map(Into::into))))
    }
    /// Sets an environment variable where it stands, or at the end; `None` removes it.
    pub fn set_env(&mut self, name: &str, value: Option<&str>) -> Result<&mut Self> {
        if name.is_empty() || name.contains('=') {
            return Err(invalid("the name of an environment variable is not empty and has no '='").subject(shown(name)));
        }
        Ok(self.change(ConfigChange::Env(name.into(), value.map(Into::into))))
    }
    /// Takes the whole environment away.
    pub fn clear_env(&mut self) -> &mut Self {
        self.change(ConfigChange::ClearEnv)
    }
    /// Sets the entry point; `None` removes it.
    pub fn set_entrypoint(&mut self, argv: Option<Vec<String>>) -> &mut Self {
        self.change(ConfigChange::Entrypoint(argv))
    }
    /// Sets the command; `None` removes it.
    pub fn set_cmd(&mut self, argv: Option<Vec<String>>) -> &mut Self {
        self.change(ConfigChange::Cmd(argv))
    }
    /// Sets the user; empty removes it.
    pub fn set_user(&mut self, user: &str) -> &mut Self {
        self.change(ConfigChange::User(user.into()))
    }
    /// Sets the working directory; empty removes it.
    pub fn set_working_dir(&mut self, path: &str) -> &mut Self {
        self.change(ConfigChange::WorkingDir(path.into()))
    }
    /// Sets a label; `None` removes it.
    pub fn set_label(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        if key.is_empty() {
            return Err(invalid("a label's key is empty"));
        }
        Ok(self.change(ConfigChange::Label(key.into(), value.map(Into::into))))
    }
    /// Takes all labels away.
    pub fn clear_labels(&mut self) -> &mut Self {
        self.change(ConfigChange::ClearLabels)
    }
    /// Sets how to see whether a container is well; `None` removes it. Members of the old one that this library does
    /// not know (such as `StartInterval`) stay.
    pub fn set_healthcheck(&mut self, healthcheck: Option<Healthcheck>) -> &mut Self {
        self.change(ConfigChange::Healthcheck(healthcheck))
    }
    /// Sets the shell of build steps; `None` removes it.
    pub fn set_shell(&mut self, argv: Option<Vec<String>>) -> &mut Self {
        self.change(ConfigChange::Shell(argv.unwrap_or_default()))
    }
    /// Sets the build steps for images on top of this one; `None` removes them.
    pub fn set_on_build(&mut self, steps: Option<Vec<String>>) -> &mut Self {
        self.change(ConfigChange::OnBuild(steps.unwrap_or_default()))
    }
    /// Sets an annotation of the manifest; `None` removes it.
    pub fn set_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        check_key(key)?;
        Ok(self.note(ManifestChange::Annotation(key.into(), value.map(Into::into))))
    }
    /// Takes all annotations of the manifest away.
    pub fn clear_annotations(&mut self) -> &mut Self {
        self.note(ManifestChange::ClearAnnotations)
    }
    /// Sets an annotation of the config's descriptor; `None` removes it.
    pub fn set_config_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        check_key(key)?;
        Ok(self.note(ManifestChange::ConfigAnnotation(key.into(), value.map(Into::into))))
    }
    /// Adds an exposed port such as `80/tcp`; `None` drops all there are so far.
    pub fn add_exposed_port(&mut self, port: Option<&str>) -> Result<&mut Self> {
        let Some(port) = port else { return Ok(self.change(ConfigChange::ClearPorts)) };
        check_port(port)?;
        Ok(self.change(ConfigChange::AddPort(port.into())))
    }
    /// Adds a volume; `None` drops all there are so far.
    pub fn add_volume(&mut self, path: Option<&str>) -> Result<&mut Self> {
        match path {
            None => Ok(self.change(ConfigChange::ClearVolumes)),
            Some("") => Err(invalid("a volume's path is empty")),
            Some(path) => Ok(self.change(ConfigChange::AddVolume(path.into()))),
        }
    }
    /// Sets the stop signal, such as `SIGTERM` or `15`; empty removes it.
    pub fn set_stop_signal(&mut self, signal: &str) -> &mut Self {
        self.change(ConfigChange::StopSignal(signal.into()))
    }
    /// Sets what the image runs on.
    pub fn set_platform(&mut self, platform: &Platform) -> &mut Self {
        self.change(ConfigChange::Platform(platform.clone()))
    }
    /// Sets the time of creation, in RFC 3339.
    pub fn set_created(&mut self, created: &str) -> Result<&mut Self> {
        let created = parse_time(created)?;
        Ok(self.change(ConfigChange::Created(created)))
    }
    /// Sets the author; empty removes it.
    pub fn set_author(&mut self, author: &str) -> &mut Self {
        self.change(ConfigChange::Author(author.into()))
    }
    /// Replaces the whole config by this one; changes noted later apply to it.
    pub fn set_config(&mut self, config: &Config) -> &mut Self {
        self.change(ConfigChange::Replace(config.clone()))
    }
    /// Replaces the config by any bytes of any type, as artifacts have it. Of an image config's type, it is read, and
    /// is the same as [`ImageBuilder::set_config`]; of another, changes to single members are refused when building.
    ///
    /// Errors: `Malformed` where the type is an image config's and the bytes are none.
    pub fn set_raw_config(&mut self, raw: Bytes, media_type: impl Into<MediaType>) -> Result<&mut Self> {
        let media_type = media_type.into();
        if media_type.is_config() {
            self.set_config(&Config::from_bytes(raw)?);
            self.other_config = None;
            return self.set_config_media_type(media_type);
        }
        if media_type.is_empty() {
            return Err(invalid("the config's media type is empty"));
        }
        self.config.clear();
        self.other_config = Some((raw, media_type));
        Ok(self)
    }
    /// Says what the config is; its bytes stay.
    pub fn set_config_media_type(&mut self, media_type: impl Into<MediaType>) -> Result<&mut Self> {
        let media_type = media_type.into();
        if media_type.is_empty() {
            return Err(invalid("the config's media type is empty"));
        }
        Ok(self.note(ManifestChange::ConfigMediaType(media_type)))
    }
    /// Says what the manifest is: nothing else. [`ImageBuilder::set_format`] has everything in it follow.
    ///
    /// Errors: `InvalidArgument` for anything but the types of image manifests.
    pub fn set_media_type(&mut self, media_type: impl Into<MediaType>) -> Result<&mut Self> {
        let media_type = media_type.into();
        if !media_type.is_image() {
            return Err(invalid("not the media type of an image manifest").subject(media_type));
        }
        Ok(self.note(ManifestChange::MediaType(media_type)))
    }
    /// Has manifest, config and every layer carry Docker's media types, or OCI's. An image that does so already stays
    /// byte for byte.
    ///
    /// To OCI, types that are not Docker's stay as they are. Docker's readers take nothing but their own types, so to
    /// Docker, an artifact's config, zstd layers and layers of any other type are `Unsupported` when building. Labels,
    /// annotations, subject and artifact type stay either way.
    pub fn set_format(&mut self, format: Format) -> &mut Self {
        self.format = Some(format);
        self
    }
    /// Sets the manifest that this one refers to.
    pub fn set_subject(&mut self, subject: &Descriptor) -> &mut Self {
        self.note(ManifestChange::Subject(Some(Box::new(subject.clone()))))
    }
    /// Refers to nothing any more.
    pub fn clear_subject(&mut self) -> &mut Self {
        self.note(ManifestChange::Subject(None))
    }
    /// Says what kind of artifact it is; empty: unsaid.
    pub fn set_artifact_type(&mut self, artifact_type: &str) -> &mut Self {
        self.note(ManifestChange::ArtifactType(artifact_type.into()))
    }

    fn change(&mut self, change: ConfigChange) -> &mut Self {
        self.config.push(change);
        self
    }
    fn note(&mut self, change: ManifestChange) -> &mut Self {
        self.manifest.push(change);
        self
    }
    fn step(&mut self, step: Step) -> &mut Self {
        self.steps.push(step);
        self
    }
    fn there(&self, i: usize) -> Result<()> {
        match i < self.count {
            true => Ok(()),
            false => Err(invalid(format!("layer {i} of an image with {}", self.count))),
        }
    }
    fn last_layer(&self) -> Result<usize> {
        self.last.ok_or_else(|| invalid("this is set for the layer added last, and none was added"))
    }

    /// The image with all changes. Without any, it is the base itself.
    ///
    /// Errors: those of fetching the base's config; `Malformed` where it is no image config; `InvalidArgument` where
    /// the changes don't fit each other; `Unsupported` where the format has no word for something. Options: format,
    /// read where there is no base.
    pub fn build(&self, options: &Options, ctx: &Context) -> Task<Image> {
        let home = match self.home(options) {
            Ok(home) => home,
            Err(e) => return Task::ready(Err(e)),
        };
        let (builder, format) = (self.clone(), options.format.unwrap_or(Format::Oci));
        home.clone().spawn(ctx, |ctx| async move { builder.make(format, home, &ctx).await })
    }

    fn home(&self, options: &Options) -> Result<Home> {
        match &self.base {
            Some(base) => {
                options.only("building on a base", &[])?;
                Ok(base.home().clone())
            }
            None => {
                options.only("building from scratch", &["format"])?;
                Ok(Home::Local(Place::here()?))
            }
        }
    }

    fn changes_nothing(&self, manifest: &Manifest) -> bool {
        self.steps.is_empty()
            && self.config.is_empty()
            && self.other_config.is_none()
            && self.manifest.is_empty()
            && self.format.is_none_or(|format| is_format(manifest, format))
    }

    pub(crate) async fn make(self, format: Format, home: Home, ctx: &Context) -> Result<Image> {
        let (manifest, old_layers) = match &self.base {
            Some(base) if self.changes_nothing(base.manifest()) => return Ok(base.clone()),
            Some(base) => (base.manifest().clone(), base.layers()),
            None => (Manifest::empty(format == Format::Oci), &[][..]),
        };
        let has_image_config = manifest.config().media_type.is_config() && self.other_config.is_none();
        let replaced = self.config.iter().rposition(|c| matches!(c, ConfigChange::Replace(_)));
        // An artifact becomes an image by a whole config that is said to be one.
        let says = |c: &ManifestChange| matches!(c, ManifestChange::ConfigMediaType(m) if m.is_config());
        let becomes = self.other_config.is_none() && replaced.is_some() && self.manifest.iter().any(says);
        if !has_image_config && !self.config.is_empty() && !becomes {
            let what = self.other_config.as_ref().map_or(&manifest.config().media_type, |(_, media_type)| media_type);
            return Err(invalid(format!("the image has no image config to change, but a {what}")));
        }
        let with_config = has_image_config || !self.config.is_empty();
        let rewritten = !self.config.is_empty() || !self.steps.is_empty() || self.base.is_none();

        let mut doc = match (with_config && rewritten, &self.base, replaced.and_then(|at| self.config.get(at))) {
            (false, ..) => None,
            // A replaced config is the start of everything, the new layers included.
            (_, _, Some(ConfigChange::Replace(config))) => Some(config.edit()),
            (_, Some(base), _) => Some(base.config_holder().get(ctx).await?.edit()),
            (_, None, _) => Some(Config::empty().edit()),
        };
        let mut stack = Stack::new(old_layers, self.family(&manifest, format));
        if let Some(doc) = &doc {
            stack = stack.told(doc.doc());
        }
        for step in &self.steps {
            stack.apply(step, ctx).await.map_err(|e| match &self.base {
                Some(base) => e.or_subject(base.digest()),
                None => e,
            })?;
        }
        if let Some(doc) = &mut doc {
            stack.tell(doc);
            self.config.iter().skip(replaced.map_or(0, |at| at + 1)).for_each(|change| change.apply(doc));
            let told = doc.doc().rootfs.diff_ids.as_ref().map_or(0, Vec::len);
            if told != stack.layers.len() && (replaced.is_some() || !self.steps.is_empty()) {
                let why = format!("the config names {told} diff ids, and the image has {} layers", stack.layers.len());
                return Err(invalid(why));
            }
        }

        let mut edit = manifest.edit();
        if !self.steps.is_empty() {
            edit.doc_mut().layers = Some(stack.descriptors());
        }
        if let Some((raw, media_type)) = &self.other_config {
            edit.set_config(raw);
            edit.set_config_media_type(media_type.clone());
        }
        let config = doc.map(crate::oci::ConfigEdit::finish).transpose()?;
        if let Some(config) = &config {
            if config.raw().len() as u64 > MAX_CONFIG {
                let why = format!("the config would be larger than {MAX_CONFIG} bytes, and nobody could read it");
                return Err(Error::new(Code::LimitExceeded, why));
            }
            edit.set_config(config.raw());
        }
        self.manifest.iter().for_each(|change| change.apply(&mut edit));
        if let Some(format) = self.format {
            convert::convert(&mut edit, format, &stack.fixed)?;
        }
        let manifest = edit.finish()?;
        let descriptor = manifest.descriptor();
        match (config, self.other_config, &self.base) {
            (Some(config), ..) => Ok(Image::made(descriptor, manifest, config, &stack.layers, home)),
            (None, Some((raw, _)), _) => Ok(Image::made_of(descriptor, manifest, raw, &stack.layers, home)),
            (None, None, Some(base)) => Ok(base.renamed(descriptor, manifest, &stack.layers)),
            (None, None, None) => Err(Error::new(Code::Internal, "an image from scratch without a config")),
        }
    }

    /// Whose media types new layers carry.
    fn family(&self, manifest: &Manifest, format: Format) -> Format {
        let said = self.manifest.iter().rev().find_map(|change| match change {
            ManifestChange::MediaType(media_type) => Some(media_type.is_docker()),
            _ => None,
        });
        match (self.format, said, &self.base) {
            (Some(format), ..) => format,
            (_, Some(docker), _) => {
                if docker {
                    Format::Docker
                } else {
                    Format::Oci
                }
            }
            (_, _, Some(_)) => family(manifest),
            (_, _, None) => format,
        }
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() { Err(invalid("an annotation's key is empty")) } else { Ok(()) }
}

fn parse_time(text: &str) -> Result<Time> {
    text.parse()
}

/// `PORT`, `PORT/PROTOCOL` (image spec, config.md, "ExposedPorts").
fn check_port(port: &str) -> Result<()> {
    let number = port.split_once('/').map_or(port, |(n, _)| n);
    let protocol = port.split_once('/').map(|(_, p)| p);
    match number.parse::<u16>().is_ok() && protocol.is_none_or(|p| matches!(p, "tcp" | "udp" | "sctp")) {
        true => Ok(()),
        false => {
            Err(invalid("an exposed port is written NUMBER, NUMBER/tcp, NUMBER/udp or NUMBER/sctp")
                .subject(shown(port)))
        }
    }
}

fn shown(text: &str) -> String {
    crate::digest::shown(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named() {
        let mut b = ImageBuilder::from_scratch();
        assert!(b.set_env("A=B", Some("c")).is_err());
        assert!(b.set_history("x", "", "", None).is_err());
        assert!(b.set_layer_urls(vec![]).is_err() && b.annotate_layer(0, "k", None).is_err());
        assert!(b.remove_layer(0).is_err());
        assert!(b.set_media_type(MediaType::OCI_INDEX).is_err());
        for bad in ["", "x", "70000", "80/http", "80/"] {
            assert!(b.add_exposed_port(Some(bad)).is_err(), "{bad}");
        }
        assert!(b.add_exposed_port(Some("80")).is_ok());
        assert!(b.set_created("yesterday").is_err());
    }
}
