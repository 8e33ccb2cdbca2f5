//! What a builder notes about config and manifest, and what becomes of it.

use crate::oci::{Config, ConfigEdit, Descriptor, Healthcheck, ManifestEdit, MediaType, Platform, Time};

#[derive(Clone)]
pub(super) enum ConfigChange {
    Env(String, Option<String>),
    ClearEnv,
    Entrypoint(Option<Vec<String>>),
    Cmd(Option<Vec<String>>),
    User(String),
    WorkingDir(String),
    Label(String, Option<String>),
    ClearLabels,
    AddPort(String),
    ClearPorts,
    AddVolume(String),
    ClearVolumes,
    StopSignal(String),
    Healthcheck(Option<Healthcheck>),
    Shell(Vec<String>),
    OnBuild(Vec<String>),
    Platform(Platform),
    Created(Time),
    Author(String),
    Replace(Config),
}

impl ConfigChange {
    pub(super) fn apply(&self, doc: &mut ConfigEdit) {
        match self.clone() {
            ConfigChange::Env(name, Some(value)) => doc.set_env(&name, &value),
            ConfigChange::Env(name, None) => doc.unset_env(&name),
            ConfigChange::ClearEnv => doc.doc_mut().config.env.clear(),
            ConfigChange::Entrypoint(argv) => doc.set_entrypoint(argv),
            ConfigChange::Cmd(argv) => doc.set_cmd(argv),
            ConfigChange::User(user) => doc.set_user(user),
            ConfigChange::WorkingDir(path) => doc.set_working_dir(path),
            ConfigChange::Label(key, Some(value)) => doc.set_label(key, value),
            ConfigChange::Label(key, None) => doc.unset_label(&key),
            ConfigChange::ClearLabels => doc.doc_mut().config.labels.clear(),
            ConfigChange::AddPort(port) => doc.add_exposed_port(port),
            ConfigChange::ClearPorts => doc.clear_exposed_ports(),
            ConfigChange::AddVolume(path) => doc.add_volume(path),
            ConfigChange::ClearVolumes => doc.clear_volumes(),
            ConfigChange::StopSignal(signal) => doc.set_stop_signal(signal),
            ConfigChange::Healthcheck(new) => {
                let place = &mut doc.doc_mut().config.healthcheck;
                let unknown = place.take().map(|old| old.extra).unwrap_or_default();
                *place = new.map(|new| Healthcheck { extra: unknown, ..new });
            }
            ConfigChange::Shell(argv) => doc.doc_mut().config.shell = argv,
            ConfigChange::OnBuild(steps) => doc.doc_mut().config.on_build = steps,
            ConfigChange::Platform(platform) => doc.set_platform(&platform),
            ConfigChange::Created(time) => doc.set_created(time),
            ConfigChange::Author(author) => doc.set_author(author),
            ConfigChange::Replace(config) => doc.replace(&config),
        }
    }
}

#[derive(Clone)]
pub(super) enum ManifestChange {
    Annotation(String, Option<String>),
    ClearAnnotations,
    ConfigAnnotation(String, Option<String>),
    ConfigMediaType(MediaType),
    MediaType(MediaType),
    Subject(Option<Box<Descriptor>>),
    ArtifactType(String),
}

impl ManifestChange {
    pub(super) fn apply(&self, edit: &mut ManifestEdit) {
        match self.clone() {
            ManifestChange::Annotation(key, Some(value)) => edit.set_annotation(key, value),
            ManifestChange::Annotation(key, None) => edit.unset_annotation(&key),
            ManifestChange::ClearAnnotations => edit.doc_mut().annotations.clear(),
            ManifestChange::ConfigAnnotation(key, Some(value)) => {
                edit.doc_mut().config.annotations.insert(key, value);
            }
            ManifestChange::ConfigAnnotation(key, None) => {
                edit.doc_mut().config.annotations.remove(&key);
            }
            ManifestChange::ConfigMediaType(media_type) => edit.set_config_media_type(media_type),
            ManifestChange::MediaType(media_type) => edit.set_media_type(media_type),
            ManifestChange::Subject(subject) => edit.set_subject(subject.map(|s| *s)),
            ManifestChange::ArtifactType(text) => edit.doc_mut().artifact_type = text,
        }
    }
}
