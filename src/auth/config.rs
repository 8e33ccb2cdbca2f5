//! Docker's `config.json`: the `auths` in it.
//!
//! Keys are looked up as the reference does (repository, then registry; `https://host/v1/` forms count as the host),
//! and, as podman does, by every parent path in between: the most specific entry wins.

use crate::auth::Credential;
use crate::error::{Code, Error, Result, malformed};
use crate::name::{DEFAULT_REGISTRY, Repository};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A configuration file larger than this is none.
const MAX_SIZE: u64 = 1 << 20;

pub(crate) struct ConfigFile {
    path: PathBuf,
    file: File,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl ConfigFile {
    /// The file that the environment names, if there is one.
    pub(crate) fn find() -> Result<Option<ConfigFile>> {
        let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = var("HOME");
        let docker = var("DOCKER_CONFIG").or_else(|| home.as_ref().map(|h| h.join(".docker")));
        let places = [
            docker.map(|d| d.join("config.json")),
            var("REGISTRY_AUTH_FILE"),
            var("XDG_RUNTIME_DIR").map(|d| d.join("containers/auth.json")),
            var("XDG_CONFIG_HOME").or_else(|| home.map(|h| h.join(".config"))).map(|d| d.join("containers/auth.json")),
        ];
        match places.into_iter().flatten().find(|p| p.is_file()) {
            Some(path) => ConfigFile::read(&path).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<ConfigFile> {
        let failed = |e| Error::io("reading the credentials", path.display(), &e);
        if std::fs::metadata(path).map_err(failed)?.len() > MAX_SIZE {
            let why = format!("the credentials file is larger than {MAX_SIZE} bytes");
            return Err(Error::new(Code::LimitExceeded, why).subject(path.display()));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        // serde_json's own text could quote a secret; line and column are enough to find the mistake.
        let file = serde_json::from_slice(&bytes).map_err(|e| {
            let at = format!("line {}, column {}", e.line(), e.column());
            malformed(format!("not a Docker config.json: {at}")).subject(path.display())
        })?;
        Ok(ConfigFile { path: path.to_owned(), file })
    }

    pub(crate) fn resolve(&self, repository: &Repository) -> Credential {
        for key in keys(repository) {
            let exact = self.file.auths.get(&key);
            let entry = exact.or_else(|| self.file.auths.iter().find(|(k, _)| host_of(k) == key).map(|(_, e)| e));
            if let Some(credential) = entry.and_then(Entry::credential) {
                return credential;
            }
        }
        Credential::None
    }

    /// Told when a registry wants credentials: they may sit where this version does not look.
    pub(crate) fn hint(&self, repository: &Repository) -> Option<String> {
        let helper = self.file.cred_helpers.get(repository.registry()).or(self.file.creds_store.as_ref())?;
        let helper = crate::digest::shown(helper);
        Some(format!(
            " ({} leaves them to the credential helper '{helper}', which this version does not run)",
            self.path.display()
        ))
    }
}

/// From the whole repository up to the registry.
fn keys(repository: &Repository) -> Vec<String> {
    let mut keys = vec![repository.to_string()];
    let mut path = repository.path();
    while let Some((parent, _)) = path.rsplit_once('/') {
        keys.push(format!("{}/{parent}", repository.registry()));
        path = parent;
    }
    keys.push(repository.registry().to_owned());
    if repository.registry() == DEFAULT_REGISTRY {
        keys.push("docker.io".to_owned());
    }
    keys
}

/// The host of an entry's key, which may be a URL with `/v1/` or `/v2/` behind it.
fn host_of(key: &str) -> &str {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    match bare.split_once('/') {
        Some((host, "" | "v1" | "v1/" | "v2" | "v2/")) => host,
        _ => bare,
    }
}

impl Entry {
    fn credential(&self) -> Option<Credential> {
        let text = |t: &Option<String>| t.clone().filter(|t| !t.is_empty());
        if let Some(token) = text(&self.registrytoken) {
            return Some(Credential::Bearer(token));
        }
        if let Some(token) = text(&self.identitytoken) {
            return Some(Credential::Identity(token));
        }
        if let Some(auth) = text(&self.auth) {
            let auth = auth.trim();
            let bytes = if auth.ends_with('=') { STANDARD.decode(auth) } else { STANDARD_NO_PAD.decode(auth) };
            let pair = String::from_utf8(bytes.ok()?).ok()?;
            let (user, password) = pair.trim_end_matches('\0').split_once(':')?;
            return Some(Credential::Basic(user.to_owned(), password.to_owned()));
        }
        Some(Credential::Basic(text(&self.username)?, text(&self.password)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Reference;

    fn ask(json: &str, name: &str) -> Credential {
        let file = serde_json::from_str(json).unwrap();
        let config = ConfigFile { path: "config.json".into(), file };
        config.resolve(Reference::parse(name).unwrap().repository())
    }
    fn basic(user: &str, password: &str) -> Credential {
        Credential::Basic(user.into(), password.into())
    }

    #[test]
    fn the_most_specific_entry_wins() {
        let json = r#"{"auths": {
            "r.io": {"username": "host", "password": "1"},
            "r.io/team": {"auth": "dGVhbToy"},
            "r.io/team/app": {"auth": "YXBwOjM="},
            "https://index.docker.io/v1/": {"auth": "aHViOjQ="},
            "https://quay.io/v2/": {"identitytoken": "id"},
            "t.io": {"registrytoken": "rt"}
        }}"#;
        assert_eq!(ask(json, "r.io/other/x"), basic("host", "1"));
        assert_eq!(ask(json, "r.io/team/x"), basic("team", "2"));
        assert_eq!(ask(json, "r.io/team/app"), basic("app", "3"));
        assert_eq!(ask(json, "ubuntu"), basic("hub", "4"));
        assert_eq!(ask(json, "quay.io/a/b"), Credential::Identity("id".into()));
        assert_eq!(ask(json, "t.io/a"), Credential::Bearer("rt".into()));
        assert_eq!(ask(json, "r.io:5000/team/x"), Credential::None);
        assert_eq!(ask(json, "x.io/r.io"), Credential::None);
    }

    #[test]
    fn passwords_with_colons_and_bad_entries() {
        assert_eq!(ask(r#"{"auths":{"r.io":{"auth":"dTpwOnE="}}}"#, "r.io/a"), basic("u", "p:q"));
        assert_eq!(ask(r#"{"auths":{"r.io":{"auth":"dTpwOnE"}}}"#, "r.io/a"), basic("u", "p:q"));
        assert_eq!(ask(r#"{"auths":{"r.io":{"auth":"!!"}}}"#, "r.io/a"), Credential::None);
        assert_eq!(ask(r#"{"auths":{"r.io":{}}}"#, "r.io/a"), Credential::None);
    }
}
