//! A keychain answers one question: which credentials go to this repository's registry?

use crate::auth::config::ConfigFile;
use crate::error::{Error, Result};
use crate::name::Repository;
use std::fmt;
use std::sync::Arc;

/// What is shown to a registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// User and password.
    Basic(String, String),
    /// A refresh token for the registry's token service.
    Identity(String),
    /// A token for the registry itself.
    Bearer(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::None => "None",
            Credential::Basic(..) => "Basic(…)",
            Credential::Identity(_) => "Identity(…)",
            Credential::Bearer(_) => "Bearer(…)",
        })
    }
}

/// Where credentials come from; a clone is the same keychain.
#[derive(Clone)]
pub struct Keychain(Arc<Kind>);

enum Kind {
    Fixed { registry: String, credential: Credential },
    Config(ConfigFile),
    Chain(Vec<Keychain>),
    Failing(Error),
}

impl Keychain {
    /// No credentials for anybody.
    pub fn anonymous() -> Keychain {
        Keychain::chain(Vec::new())
    }
    /// User and password for one registry.
    pub fn basic(registry: &str, user: &str, password: &str) -> Keychain {
        Keychain::fixed(registry, Credential::Basic(user.to_owned(), password.to_owned()))
    }
    /// A token for one registry, sent as it is.
    pub fn bearer(registry: &str, token: &str) -> Keychain {
        Keychain::fixed(registry, Credential::Bearer(token.to_owned()))
    }
    /// A keychain that could not be read: whoever asks it is told why.
    pub(crate) fn failing(e: Error) -> Keychain {
        Keychain(Arc::new(Kind::Failing(e)))
    }
    fn fixed(registry: &str, credential: Credential) -> Keychain {
        let registry = if registry == "docker.io" { crate::name::DEFAULT_REGISTRY } else { registry };
        Keychain(Arc::new(Kind::Fixed { registry: registry.to_owned(), credential }))
    }
    /// What `docker login` or `podman login` left behind, read here and now. The environment is read on the calling
    /// thread: the places are the reference's (`DOCKER_CONFIG`, `~/.docker`, `REGISTRY_AUTH_FILE`, podman's own).
    ///
    /// Errors: `Malformed` where the file is not JSON of the expected form.
    pub fn from_environment() -> Result<Keychain> {
        match ConfigFile::find()? {
            Some(config) => Ok(Keychain(Arc::new(Kind::Config(config)))),
            None => Ok(Keychain::anonymous()),
        }
    }
    /// The first of these that knows something.
    pub fn chain(keychains: Vec<Keychain>) -> Keychain {
        Keychain(Arc::new(Kind::Chain(keychains)))
    }

    /// The credentials for this repository.
    pub fn resolve(&self, repository: &Repository) -> Result<Credential> {
        match &*self.0 {
            Kind::Fixed { registry, credential } if registry == repository.registry() => Ok(credential.clone()),
            Kind::Fixed { .. } => Ok(Credential::None),
            Kind::Config(config) => Ok(config.resolve(repository)),
            Kind::Failing(e) => Err(e.clone()),
            Kind::Chain(list) => {
                for keychain in list {
                    let credential = keychain.resolve(repository)?;
                    if credential != Credential::None {
                        return Ok(credential);
                    }
                }
                Ok(Credential::None)
            }
        }
    }

    /// Why there may be no credentials where the user expects some; for an error's text.
    pub(crate) fn hint(&self, repository: &Repository) -> Option<String> {
        match &*self.0 {
            Kind::Config(config) => config.hint(repository),
            Kind::Chain(list) => list.iter().find_map(|k| k.hint(repository)),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Keychain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}
