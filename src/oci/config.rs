//! Image configs: how an image is run, what it is made of, how it came about.

use super::json::{self, object};
use super::{ConfigEdit, Platform, Time};
use crate::digest::Digest;
use crate::error::Result;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

object! {
    /// The members of an image config.
    #[derive(Default)]
    pub struct ConfigDoc {
        /// Such as `amd64`.
        architecture: String = "architecture" keep,
        /// Who made the image.
        author: String = "author" omit,
        /// The container that the image was committed from.
        container: String = "container" omit,
        /// When it was made.
        created: Time = "created" keep,
        /// The Docker that made it.
        docker_version: String = "docker_version" omit,
        /// How it came about, lowest layer first.
        history: Vec<History> = "history" omit,
        /// Such as `linux`.
        os: String = "os" keep,
        /// What its file system is made of.
        rootfs: RootFs = "rootfs" keep,
        /// How it is run.
        config: RunConfig = "config" keep,
        /// Windows' version.
        os_version: String = "os.version" omit,
        /// Of the architecture, such as `v7`.
        variant: String = "variant" omit,
        /// Such as `win32k`.
        os_features: Vec<String> = "os.features" omit,
    }
}

object! {
    /// One step of an image's making.
    #[derive(Default)]
    pub struct History {
        /// Who did it.
        author: String = "author" omit,
        /// When.
        created: Time = "created" keep,
        /// The command.
        created_by: String = "created_by" omit,
        /// A remark.
        comment: String = "comment" omit,
        /// Whether it made no layer.
        empty_layer: bool = "empty_layer" omit,
    }
}

object! {
    /// What a file system is made of.
    #[derive(Default)]
    pub struct RootFs {
        /// Always `layers`.
        kind: String = "type" keep,
        /// The digests of the uncompressed layers, lowest first.
        diff_ids: Option<Vec<Digest>> = "diff_ids" keep,
    }
}

object! {
    /// How an image is run.
    #[derive(Default)]
    pub struct RunConfig {
        /// Of the container that the image was committed from.
        attach_stderr: bool = "AttachStderr" omit,
        /// Of the container that the image was committed from.
        attach_stdin: bool = "AttachStdin" omit,
        /// Of the container that the image was committed from.
        attach_stdout: bool = "AttachStdout" omit,
        /// Arguments of the entrypoint, or the command where there is none.
        cmd: Option<Vec<String>> = "Cmd" omit,
        /// How to see whether it is well.
        healthcheck: Option<Healthcheck> = "Healthcheck" omit,
        /// The domain name.
        domainname: String = "Domainname" omit,
        /// The command.
        entrypoint: Option<Vec<String>> = "Entrypoint" omit,
        /// The environment, each `NAME=value`.
        env: Vec<String> = "Env" omit,
        /// The host name.
        hostname: String = "Hostname" omit,
        /// The image that it was built on.
        image: String = "Image" omit,
        /// Remarks.
        labels: BTreeMap<String, String> = "Labels" omit,
        /// Build steps for images on top of it.
        on_build: Vec<String> = "OnBuild" omit,
        /// Of the container that the image was committed from.
        open_stdin: bool = "OpenStdin" omit,
        /// Of the container that the image was committed from.
        stdin_once: bool = "StdinOnce" omit,
        /// Of the container that the image was committed from.
        tty: bool = "Tty" omit,
        /// As whom it runs, such as `1000:1000`.
        user: String = "User" omit,
        /// Directories that outlive the container.
        volumes: BTreeMap<String, Empty> = "Volumes" omit,
        /// Where it runs.
        working_dir: String = "WorkingDir" omit,
        /// Ports that it listens on, such as `80/tcp`.
        exposed_ports: BTreeMap<String, Empty> = "ExposedPorts" omit,
        /// Whether the command is one string already (Windows).
        args_escaped: bool = "ArgsEscaped" omit,
        /// Of the container that the image was committed from.
        network_disabled: bool = "NetworkDisabled" omit,
        /// Of the container that the image was committed from.
        mac_address: String = "MacAddress" omit,
        /// What ends it, such as `SIGTERM`.
        stop_signal: String = "StopSignal" omit,
        /// The shell of build steps.
        shell: Vec<String> = "Shell" omit,
    }
}

object! {
    /// How to see whether a container is well; times are nanoseconds.
    #[derive(Default)]
    pub struct Healthcheck {
        /// `NONE`, `CMD` and arguments, or `CMD-SHELL` and a command.
        test: Vec<String> = "Test" omit,
        /// Between two checks.
        interval: i64 = "Interval" omit,
        /// For one check.
        timeout: i64 = "Timeout" omit,
        /// Before failures count.
        start_period: i64 = "StartPeriod" omit,
        /// How many failures make it unwell.
        retries: i64 = "Retries" omit,
    }
}

object! {
    /// The value of a set's member: nothing.
    #[derive(Default)]
    pub struct Empty {}
}

/// An image config: exact bytes and typed view. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Config {
    raw: Bytes,
    doc: Arc<ConfigDoc>,
}

impl Config {
    /// Reads a config. One with U+0000 in its strings is refused: in C they would end there.
    ///
    /// Errors: `Malformed`, naming the member.
    pub fn from_bytes(raw: Bytes) -> Result<Config> {
        const WHAT: &str = "image config";
        let doc = Arc::new(json::document(json::root(&raw, WHAT)?, WHAT)?);
        Ok(Config { raw, doc })
    }

    /// The config of an image without layers, as the reference has it.
    pub fn empty() -> Config {
        let rootfs = RootFs { kind: "layers".into(), ..RootFs::default() };
        let doc = ConfigDoc { rootfs, ..ConfigDoc::default() };
        Config { raw: json::to_bytes(&doc), doc: Arc::new(doc) }
    }

    /// The history as JSON.
    pub(crate) fn history_json(&self) -> String {
        String::from_utf8_lossy(&json::to_bytes(&self.doc().history)).into_owned()
    }
    /// The exact bytes.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }
    /// Every member.
    pub fn doc(&self) -> &ConfigDoc {
        &self.doc
    }
    /// Starts a change.
    pub fn edit(&self) -> ConfigEdit {
        ConfigEdit::new(self)
    }

    /// What the image runs on; `None` where the config doesn't say.
    pub fn platform(&self) -> Option<Platform> {
        let doc = self.doc();
        let platform = Platform {
            os_version: doc.os_version.clone(),
            os_features: doc.os_features.clone(),
            variant: doc.variant.clone(),
            ..Platform::new(&doc.os, &doc.architecture)
        };
        (platform != Platform::new("", "")).then_some(platform)
    }
    /// Windows' version.
    pub fn os_version(&self) -> Option<&str> {
        said(&self.doc.os_version)
    }
    /// When the image was made, as RFC 3339.
    pub fn created(&self) -> Option<&str> {
        Some(&self.doc.created).filter(|time| !time.is_zero()).map(Time::as_str)
    }
    /// Who made it.
    pub fn author(&self) -> Option<&str> {
        said(&self.doc.author)
    }
    /// As whom it runs.
    pub fn user(&self) -> Option<&str> {
        said(&self.doc.config.user)
    }
    /// Where it runs.
    pub fn working_dir(&self) -> Option<&str> {
        said(&self.doc.config.working_dir)
    }
    /// The command.
    pub fn entrypoint(&self) -> Option<&[String]> {
        self.doc.config.entrypoint.as_deref()
    }
    /// The command's arguments.
    pub fn cmd(&self) -> Option<&[String]> {
        self.doc.config.cmd.as_deref()
    }
    /// The environment, each `NAME=value`.
    pub fn env(&self) -> &[String] {
        &self.doc.config.env
    }
    /// The value of one variable.
    pub fn env_get(&self, name: &str) -> Option<&str> {
        let i = self.doc.env_position(name)?;
        self.env().get(i)?.split_once('=').map(|(_, value)| value)
    }
    /// Remarks, sorted by key.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.doc.config.labels
    }
    /// Ports, such as `80/tcp`, sorted.
    pub fn exposed_ports(&self) -> impl Iterator<Item = &str> {
        self.doc.config.exposed_ports.keys().map(String::as_str)
    }
    /// Directories that outlive the container, sorted.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.doc.config.volumes.keys().map(String::as_str)
    }
    /// What ends it.
    pub fn stop_signal(&self) -> Option<&str> {
        said(&self.doc.config.stop_signal)
    }
    /// The digests of the uncompressed layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        self.doc.rootfs.diff_ids.as_deref().unwrap_or_default()
    }
    /// How it came about, lowest layer first.
    pub fn history(&self) -> &[History] {
        &self.doc.history
    }
}

impl ConfigDoc {
    /// The first entry of the environment with this name, which is the one that counts.
    pub(super) fn env_position(&self, name: &str) -> Option<usize> {
        self.config.env.iter().position(|entry| is_env(entry, name, self.is_windows()))
    }
    pub(super) fn is_windows(&self) -> bool {
        self.os == "windows"
    }
}

/// Whether an entry of the environment has this name. Windows doesn't tell upper from lower case.
pub(super) fn is_env(entry: &str, name: &str, windows: bool) -> bool {
    let same = |n: &str| if windows { n.to_uppercase() == name.to_uppercase() } else { n == name };
    entry.split_once('=').is_some_and(|(n, _)| same(n))
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn parse(json: &str) -> Result<Config> {
        Config::from_bytes(Bytes::from(json.to_owned()))
    }

    #[test]
    fn members_are_read() {
        let diff_id = Digest::sha256(b"layer");
        let json = format!(
            r#"{{"created":"2024-05-06T07:08:09.100Z","architecture":"arm64","os":"linux","variant":"v8","author":"me","config":{{
            "Env":["PATH=/bin","A=1","A=2","odd"],"Entrypoint":["/e"],"Cmd":null,"User":"u","WorkingDir":"/w","StopSignal":"SIGINT",
            "Labels":{{"b":"2","a":"1"}},"ExposedPorts":{{"80/tcp":{{}},"53/udp":null}},"Volumes":{{"/v":{{}}}}}},
            "rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},"history":[{{"created_by":"x","comment":"c"}},{{"empty_layer":true}}]}}"#
        );
        let config = parse(&json).unwrap();
        assert_eq!(config.raw(), json.as_bytes());
        assert_eq!(config.platform().unwrap().to_string(), "linux/arm64/v8");
        assert_eq!((config.created(), config.author()), (Some("2024-05-06T07:08:09.1Z"), Some("me")));
        assert_eq!((config.user(), config.working_dir()), (Some("u"), Some("/w")));
        assert_eq!((config.stop_signal(), config.os_version()), (Some("SIGINT"), None));
        assert_eq!((config.entrypoint().unwrap().len(), config.cmd()), (1, None));
        assert_eq!((config.env_get("A"), config.env_get("odd"), config.env_get("a")), (Some("1"), None, None));
        assert_eq!(config.labels().iter().next().unwrap(), (&"a".to_owned(), &"1".to_owned()));
        assert!(config.exposed_ports().eq(["53/udp", "80/tcp"]) && config.volumes().eq(["/v"]));
        assert_eq!(config.diff_ids(), [diff_id]);
        assert!(!config.history()[0].empty_layer && config.history()[1].empty_layer);
        assert_eq!(config.history()[0].created_by, "x");
        let bare = parse("{}").unwrap();
        assert_eq!((bare.platform(), bare.created(), bare.diff_ids().len()), (None, None, 0));
    }

    #[test]
    fn wrong_types_are_named() {
        for (json, path) in [
            (r#"{"config":{"Env":["A=1",2]}}"#, "config.Env[1] is a number, not a string"),
            (r#"{"config":{"Labels":{"a":["x"]}}}"#, "config.Labels.a is a list, not a string"),
            (r#"{"config":[]}"#, "config is a list, not an object"),
            (r#"{"config":{"Cmd":"sh"}}"#, "config.Cmd is a string, not a list"),
            (r#"{"config":{"Tty":1}}"#, "config.Tty is a number, not a boolean"),
            (r#"{"config":{"Volumes":{"/v":1}}}"#, "config.Volumes./v is a number, not an object"),
            (
                r#"{"config":{"Healthcheck":{"Interval":1.5}}}"#,
                "config.Healthcheck.Interval is a number, not an integer",
            ),
            (r#"{"created":"yesterday"}"#, "created is not a time"),
            (r#"{"history":[{},{"empty_layer":null},{"comment":{}}]}"#, "history[2].comment is an object"),
            (r#"{"rootfs":{"diff_ids":["sha256:1"]}}"#, "rootfs.diff_ids[0] is not a digest"),
            (r#"{"config":{"User":"root\u0000x"}}"#, "config.User has a U+0000"),
            (r#"{"config":{"Labels":{"\u0000":"x"}}}"#, "config.Labels has a key with U+0000"),
        ] {
            let error = parse(json).unwrap_err();
            assert_eq!(error.code(), Code::Malformed);
            assert!(error.message().starts_with(&format!("image config: {path}")), "{error}");
        }
        assert!(parse(r#"{"unknown":"\u0000"}"#).is_ok());
    }
}
