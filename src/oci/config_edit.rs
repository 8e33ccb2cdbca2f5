//! Changes to image configs.

use super::config::is_env;
use super::{Config, ConfigDoc, Empty, History, Platform, Time, json};
use crate::digest::Digest;
use crate::error::{Result, invalid};

/// Changes to a config. Nothing is written before [`ConfigEdit::finish`], and nothing at all if nothing changed.
#[derive(Clone, Debug)]
pub struct ConfigEdit {
    base: Config,
    doc: ConfigDoc,
    changed: bool,
}

impl ConfigEdit {
    pub(super) fn new(base: &Config) -> ConfigEdit {
        ConfigEdit { base: base.clone(), doc: base.doc().clone(), changed: false }
    }
    /// Takes another config instead, byte for byte; changes made so far are gone.
    pub fn replace(&mut self, config: &Config) {
        *self = ConfigEdit::new(config);
    }
    /// Every member as changed so far.
    pub fn doc(&self) -> &ConfigDoc {
        &self.doc
    }
    /// Every member, to change at will; the config counts as changed from now on.
    pub fn doc_mut(&mut self) -> &mut ConfigDoc {
        self.changed = true;
        &mut self.doc
    }

    /// Sets a variable: in its place where it was, else after the others. On Windows, names differ not by case and new
    /// ones are written in upper case.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let doc = self.doc_mut();
        match doc.env_position(name) {
            Some(i) => {
                let entry = &mut doc.config.env[i];
                entry.truncate(entry.find('=').map_or(entry.len(), |end| end + 1));
                entry.push_str(value);
            }
            None if doc.is_windows() => doc.config.env.push(format!("{}={value}", name.to_uppercase())),
            None => doc.config.env.push(format!("{name}={value}")),
        }
    }
    /// Takes every variable of this name away.
    pub fn unset_env(&mut self, name: &str) {
        let doc = self.doc_mut();
        let windows = doc.is_windows();
        doc.config.env.retain(|entry| !is_env(entry, name, windows));
    }
    /// Sets or clears the command. The reference clears the arguments with it; that is left to the caller.
    pub fn set_entrypoint(&mut self, argv: Option<Vec<String>>) {
        self.doc_mut().config.entrypoint = argv;
    }
    /// Sets or clears the command's arguments.
    pub fn set_cmd(&mut self, argv: Option<Vec<String>>) {
        self.doc_mut().config.cmd = argv;
    }
    /// As whom it runs; empty: unsaid.
    pub fn set_user(&mut self, user: impl Into<String>) {
        self.doc_mut().config.user = user.into();
    }
    /// Where it runs; empty: unsaid.
    pub fn set_working_dir(&mut self, path: impl Into<String>) {
        self.doc_mut().config.working_dir = path.into();
    }
    /// What ends it; empty: unsaid.
    pub fn set_stop_signal(&mut self, signal: impl Into<String>) {
        self.doc_mut().config.stop_signal = signal.into();
    }
    /// Sets one remark.
    pub fn set_label(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.doc_mut().config.labels.insert(key.into(), value.into());
    }
    /// Takes one remark away.
    pub fn unset_label(&mut self, key: &str) {
        self.doc_mut().config.labels.remove(key);
    }
    /// Adds a port, such as `80/tcp`.
    pub fn add_exposed_port(&mut self, port: impl Into<String>) {
        self.doc_mut().config.exposed_ports.entry(port.into()).or_default();
    }
    /// Takes every port away.
    pub fn clear_exposed_ports(&mut self) {
        self.doc_mut().config.exposed_ports.clear();
    }
    /// Adds a directory that outlives the container.
    pub fn add_volume(&mut self, path: impl Into<String>) {
        self.doc_mut().config.volumes.insert(path.into(), Empty::default());
    }
    /// Takes every volume away.
    pub fn clear_volumes(&mut self) {
        self.doc_mut().config.volumes.clear();
    }
    /// What it runs on: operating system, architecture, variant and version, each as given, also if empty.
    pub fn set_platform(&mut self, platform: &Platform) {
        let doc = self.doc_mut();
        doc.os = platform.os.clone();
        doc.architecture = platform.architecture.clone();
        doc.variant = platform.variant.clone();
        doc.os_version = platform.os_version.clone();
    }
    /// When it was made.
    pub fn set_created(&mut self, created: Time) {
        self.doc_mut().created = created;
    }
    /// Who made it; empty: unsaid.
    pub fn set_author(&mut self, author: impl Into<String>) {
        self.doc_mut().author = author.into();
    }
    /// Puts a layer on top, with what is told of its making; the reference tells nothing: [`History::default`].
    pub fn append_layer(&mut self, diff_id: Digest, history: History) {
        let doc = self.doc_mut();
        doc.rootfs.diff_ids.get_or_insert_default().push(diff_id);
        doc.history.push(history);
    }

    /// Whether anything was called that changes.
    pub fn is_changed(&self) -> bool {
        self.changed
    }
    /// The changed config, or the original bytes if there was no change.
    ///
    /// Errors: `InvalidArgument` where the changes gave something that can't be read again.
    pub fn finish(self) -> Result<Config> {
        if !self.changed {
            return Ok(self.base);
        }
        Config::from_bytes(json::to_bytes(&self.doc))
            .map_err(|e| invalid("the changes don't give an image config").cause(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use bytes::Bytes;

    fn edited(json: &str, change: impl FnOnce(&mut ConfigEdit)) -> String {
        let mut edit = Config::from_bytes(Bytes::from(json.to_owned())).unwrap().edit();
        change(&mut edit);
        String::from_utf8(edit.finish().unwrap().raw().to_vec()).unwrap()
    }
    /// What `config` is after a change to one that has only this `config`.
    fn run(config: &str, change: impl FnOnce(&mut ConfigEdit)) -> String {
        let all = edited(&format!(r#"{{"os":"linux","config":{config}}}"#), change);
        let config = all.split_once(r#""config":"#).unwrap().1;
        config.strip_suffix('}').unwrap().to_owned()
    }

    #[test]
    fn no_change_keeps_the_bytes() {
        let odd = " {\"config\" : null, \"x\":1 }\n";
        assert_eq!(edited(odd, |_| ()), odd);
        assert_eq!(edited("{}", |e| e.replace(&Config::from_bytes(odd.into()).unwrap())), odd);
    }

    #[test]
    fn environment() {
        let env = r#"{"Env":["A=1","B","A=2","C=x=y"]}"#;
        assert_eq!(run(env, |e| e.set_env("A", "9")), r#"{"Env":["A=9","B","A=2","C=x=y"]}"#);
        assert_eq!(run(env, |e| e.set_env("C", "")), r#"{"Env":["A=1","B","A=2","C="]}"#);
        assert_eq!(run(env, |e| e.set_env("a", "=")), r#"{"Env":["A=1","B","A=2","C=x=y","a=="]}"#);
        assert_eq!(run(env, |e| e.unset_env("A")), r#"{"Env":["B","C=x=y"]}"#);
        assert_eq!(run(r#"{"Env":["A=1"]}"#, |e| e.unset_env("A")), "{}");
        let windows = r#"{"os":"windows","config":{"Env":["Path=c:"]}}"#;
        let set = edited(windows, |e| {
            e.set_env("PATH", "d:");
            e.set_env("temp", "t");
        });
        assert!(set.contains(r#"["Path=d:","TEMP=t"]"#), "{set}");
    }

    #[test]
    fn the_other_members() {
        let all = r#"{"Cmd":["c"],"Entrypoint":["e"],"Volumes":{"/a":{}},"ExposedPorts":{"1/tcp":{"k":1}}}"#;
        let argv = || Some(vec!["x".to_owned()]);
        assert_eq!(run(r#"{"Cmd":["c"]}"#, |e| e.set_entrypoint(argv())), r#"{"Cmd":["c"],"Entrypoint":["x"]}"#);
        assert_eq!(run(r#"{"Cmd":["c"],"Entrypoint":["x"]}"#, |e| e.set_cmd(None)), r#"{"Entrypoint":["x"]}"#);
        assert_eq!(run(r#"{"Cmd":[],"Entrypoint":["x"]}"#, |e| e.set_entrypoint(None)), "{}");
        let changed = run(all, |e| {
            e.add_exposed_port("0/udp");
            e.add_exposed_port("1/tcp");
            e.clear_volumes();
            e.add_volume("/b");
            e.set_stop_signal("SIGINT");
            e.set_user("");
        });
        let expected = r#"{"Cmd":["c"],"Entrypoint":["e"],"Volumes":{"/b":{}},"ExposedPorts":{"0/udp":{},"1/tcp":{"k":1}},"StopSignal":"SIGINT"}"#;
        assert_eq!(changed, expected);
        assert!(!run(all, ConfigEdit::clear_exposed_ports).contains("Ports"));
        assert_eq!(run(r#"{"Labels":{"a":"1"}}"#, |e| e.unset_label("a")), "{}");
        let top = edited(r#"{"os":"x","variant":"v7","os.version":"1","os.features":["f"]}"#, |e| {
            e.set_platform(&Platform::default());
            e.set_created("2024-01-01T00:00:00.50Z".parse().unwrap());
            e.set_author("me");
        });
        let expected = r#"{"architecture":"amd64","author":"me","created":"2024-01-01T00:00:00.5Z","os":"linux","#;
        assert_eq!(
            top,
            expected.to_owned() + r#""rootfs":{"type":"","diff_ids":null},"config":{},"os.features":["f"]}"#
        );
    }

    #[test]
    fn unknown_members_stay_in_every_object() {
        let json = r#"{"z": {"<":1.0} ,"config":{"Healthcheck":{"StartInterval":5e9,"Retries":1},"Memory":0,"Volumes":{"/v":{"o":[ ]}}},
            "container_config":{"Cmd":null},"history":[{"x":"é\u00e9"}],"rootfs":{"base":"b"}}"#;
        let expected = r#"{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z","x":"é\u00e9"}],"#
            .to_owned()
            + r#""os":"","rootfs":{"type":"","diff_ids":null,"base":"b"},"config":{"Healthcheck":{"Retries":1,"StartInterval":5e9},"#
            + r#""User":"u","Volumes":{"/v":{"o":[ ]}},"Memory":0},"z":{"<":1.0},"container_config":{"Cmd":null}}"#;
        let written = edited(json, |e| e.set_user("u"));
        assert_eq!(written, expected);
    }

    #[test]
    fn what_could_not_be_read_again_is_refused() {
        let mut edit = Config::empty().edit();
        edit.set_user("a\0b");
        let error = edit.finish().unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.to_string().contains("config.User"), "{error}");
    }
}
