//! New images from old ones, or from nothing: the changes are noted, and `build` makes them.
//!
//! `build` moves no layer: layers were finished before they came here. At most it fetches the base's config. What is
//! not changed stays byte for byte; what is changed is written as the reference writes it (see [`crate::oci`]).

use crate::context::Context;
use crate::engine::Task;
use crate::error::{Result, invalid};
use crate::image::Image;
use crate::layer::Layer;
use crate::oci::{Config, ConfigEdit, Descriptor, History, LayerCompression, Manifest, Platform, Time};
use crate::options::{Format, Options};
use crate::source::{Home, Place};

/// Notes changes to an image; [`ImageBuilder::build`] makes the new one, as often as asked.
#[derive(Clone, Default)]
pub struct ImageBuilder {
    base: Option<Image>,
    layers: Vec<(Layer, History)>,
    config: Vec<ConfigChange>,
    annotations: Vec<(String, Option<String>)>,
    subject: Option<Descriptor>,
}

#[derive(Clone)]
enum ConfigChange {
    Env(String, Option<String>),
    Entrypoint(Option<Vec<String>>),
    Cmd(Option<Vec<String>>),
    User(String),
    WorkingDir(String),
    Label(String, Option<String>),
    AddPort(String),
    ClearPorts,
    AddVolume(String),
    ClearVolumes,
    StopSignal(String),
    Platform(Platform),
    Created(Time),
    Author(String),
    Replace(Config),
}

impl ImageBuilder {
    /// Changes to `base`.
    pub fn new(base: &Image) -> ImageBuilder {
        ImageBuilder { base: Some(base.clone()), ..ImageBuilder::default() }
    }
    /// An image that is based on nothing.
    pub fn from_scratch() -> ImageBuilder {
        ImageBuilder::default()
    }

    /// Puts a layer on top, with one history entry of time zero.
    pub fn add_layer(&mut self, layer: &Layer) -> &mut Self {
        self.layers.push((layer.clone(), History::default()));
        self
    }
    /// What the history says of the layer added last. `created` is RFC 3339; empty texts say nothing.
    ///
    /// Errors: `InvalidArgument` where no layer was added yet, or the time is none.
    pub fn set_history(
        &mut self,
        created_by: &str,
        author: &str,
        comment: &str,
        created: Option<&str>,
    ) -> Result<&mut Self> {
        let created = created.map(parse_time).transpose()?.unwrap_or_default();
        let Some((_, history)) = self.layers.last_mut() else {
            return Err(invalid("history is set for the layer added last, and none was added"));
        };
        history.created = created;
        history.created_by = created_by.to_owned();
        history.author = author.to_owned();
        history.comment = comment.to_owned();
        Ok(self)
    }
    /// Sets an environment variable where it stands, or at the end; `None` removes it.
    pub fn set_env(&mut self, name: &str, value: Option<&str>) -> Result<&mut Self> {
        if name.is_empty() || name.contains('=') {
            return Err(invalid("the name of an environment variable is not empty and has no '='").subject(shown(name)));
        }
        Ok(self.change(ConfigChange::Env(name.into(), value.map(Into::into))))
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
    /// Sets an annotation of the manifest; `None` removes it.
    pub fn set_annotation(&mut self, key: &str, value: Option<&str>) -> Result<&mut Self> {
        if key.is_empty() {
            return Err(invalid("an annotation's key is empty"));
        }
        self.annotations.push((key.into(), value.map(Into::into)));
        Ok(self)
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
    /// Sets the manifest that this one refers to.
    pub fn set_subject(&mut self, subject: &Descriptor) -> &mut Self {
        self.subject = Some(subject.clone());
        self
    }

    fn change(&mut self, change: ConfigChange) -> &mut Self {
        self.config.push(change);
        self
    }

    /// The image with all changes. Without any, it is the base itself.
    ///
    /// Errors: those of fetching the base's config; `Malformed` where it is no image config. Options: format, read
    /// where there is no base.
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

    async fn make(self, format: Format, home: Home, ctx: &Context) -> Result<Image> {
        let nothing_new =
            self.layers.is_empty() && self.config.is_empty() && self.annotations.is_empty() && self.subject.is_none();
        let (manifest, old_layers) = match &self.base {
            Some(base) if nothing_new => return Ok(base.clone()),
            Some(base) => (base.manifest().clone(), base.layers()),
            None => (Manifest::empty(format == Format::Oci), &[][..]),
        };
        let has_image_config = manifest.config().media_type.is_config();
        if !has_image_config && !self.config.is_empty() {
            let what = &manifest.config().media_type;
            return Err(invalid(format!("the base has no image config to change, but a {what}")));
        }
        let mut edit = manifest.edit();
        let docker = manifest.media_type().is_docker();
        for (layer, _) in &self.layers {
            edit.append_layer(layer_entry(layer.descriptor(), docker));
        }
        for (key, value) in self.annotations.clone() {
            match value {
                Some(value) => edit.set_annotation(key, value),
                None => edit.unset_annotation(&key),
            }
        }
        if let Some(subject) = self.subject.clone() {
            edit.set_subject(Some(subject));
        }
        let mut layers = old_layers.to_vec();
        layers.extend(self.layers.iter().map(|(l, _)| l.clone()));
        let config_changes = !self.config.is_empty() || !self.layers.is_empty() || self.base.is_none();
        if let (Some(base), false) = (&self.base, has_image_config && config_changes) {
            let manifest = edit.finish()?;
            return Ok(base.renamed(manifest.descriptor(), manifest, &layers));
        }
        let config = match &self.base {
            Some(base) => base.config_holder().get(ctx).await?.clone(),
            None => Config::empty(),
        };
        // A replaced config is the start of everything, the new layers included.
        let replaced = self.config.iter().rposition(|c| matches!(c, ConfigChange::Replace(_)));
        let mut doc = config.edit();
        if let Some(ConfigChange::Replace(config)) = replaced.and_then(|at| self.config.get(at)) {
            doc.replace(config);
        }
        for (layer, history) in &self.layers {
            doc.append_layer(layer.find_diff_id(ctx).await?.clone(), history.clone());
        }
        self.config.iter().skip(replaced.map_or(0, |at| at + 1)).for_each(|change| apply(&mut doc, change));
        let config = doc.finish()?;
        edit.set_config(config.raw());
        let manifest = edit.finish()?;
        Ok(Image::made(manifest.descriptor(), manifest, config, &layers, home))
    }
}

fn apply(doc: &mut ConfigEdit, change: &ConfigChange) {
    match change.clone() {
        ConfigChange::Env(name, Some(value)) => doc.set_env(&name, &value),
        ConfigChange::Env(name, None) => doc.unset_env(&name),
        ConfigChange::Entrypoint(argv) => doc.set_entrypoint(argv),
        ConfigChange::Cmd(argv) => doc.set_cmd(argv),
        ConfigChange::User(user) => doc.set_user(user),
        ConfigChange::WorkingDir(path) => doc.set_working_dir(path),
        ConfigChange::Label(key, Some(value)) => doc.set_label(key, value),
        ConfigChange::Label(key, None) => doc.unset_label(&key),
        ConfigChange::AddPort(port) => doc.add_exposed_port(port),
        ConfigChange::ClearPorts => doc.clear_exposed_ports(),
        ConfigChange::AddVolume(path) => doc.add_volume(path),
        ConfigChange::ClearVolumes => doc.clear_volumes(),
        ConfigChange::StopSignal(signal) => doc.set_stop_signal(signal),
        ConfigChange::Platform(platform) => doc.set_platform(&platform),
        ConfigChange::Created(time) => doc.set_created(time),
        ConfigChange::Author(author) => doc.set_author(author),
        ConfigChange::Replace(config) => doc.replace(&config),
    }
}

/// A layer as this manifest names it: the media type follows the family of the base, as in the reference. Docker has
/// no name for zstd, and takes the OCI's.
pub(crate) fn layer_entry(layer: &Descriptor, docker: bool) -> Descriptor {
    let media_type = match (docker, layer.media_type.compression()) {
        (true, Some(LayerCompression::None | LayerCompression::Gzip)) => layer.media_type.to_docker(),
        (false, Some(_)) => layer.media_type.to_oci(),
        _ => layer.media_type.clone(),
    };
    Descriptor { media_type, ..layer.clone() }
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
    use crate::oci::MediaType;

    #[test]
    fn layers_follow_their_base() {
        let entry = |m: MediaType, docker| {
            let d = Descriptor::new(m, crate::Digest::sha256(b""), 0);
            layer_entry(&d, docker).media_type
        };
        assert_eq!(entry(MediaType::OCI_LAYER_GZIP, true), MediaType::DOCKER_LAYER_GZIP);
        assert_eq!(entry(MediaType::OCI_LAYER_ZSTD, true), MediaType::OCI_LAYER_ZSTD);
        assert_eq!(entry(MediaType::DOCKER_LAYER_GZIP, false), MediaType::OCI_LAYER_GZIP);
        assert_eq!(entry(MediaType::OCI_LAYER, true), MediaType::DOCKER_LAYER);
    }

    #[test]
    fn mistakes_are_named() {
        let mut b = ImageBuilder::from_scratch();
        assert!(b.set_env("A=B", Some("c")).is_err());
        assert!(b.set_history("x", "", "", None).is_err());
        for bad in ["", "x", "70000", "80/http", "80/"] {
            assert!(b.add_exposed_port(Some(bad)).is_err(), "{bad}");
        }
        assert!(b.add_exposed_port(Some("80")).is_ok());
        assert!(b.set_created("yesterday").is_err());
    }
}
