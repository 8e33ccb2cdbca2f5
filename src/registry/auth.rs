//! Who may do what: nobody asked, passwords, or tokens that the server itself gives out at `/token`.
//!
//! All users may do everything; with anonymous reading everybody may pull. Tokens are JWTs under a key that is drawn
//! at the start, so they end with the server, and only the one algorithm that signs them is ever accepted.

use super::body::Inbound;
use super::reply::{Answer, Refusal, json_reply};
use super::route::Query;
use crate::error::{Code, Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::StatusCode;
use http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use http::request::Parts;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The name under which tokens are asked for and accepted.
const SERVICE: &str = "parbuckle";
/// What a token request in a form may have.
const FORM_MAX: usize = 64 * 1024;
/// Repositories that one token may name.
const SCOPES_MAX: usize = 64;

/// What a request wants to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Need {
    /// `/v2/`: that the client is somebody.
    Login,
    Catalog,
    Repository(String, Action),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Pull,
    Push,
    Delete,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Action::Pull => "pull",
            Action::Push => "push",
            Action::Delete => "delete",
        }
    }
}

/// The rules of a server.
pub(super) struct Auth {
    users: Vec<(String, hmac::Tag)>,
    tokens: Option<Duration>,
    anonymous_read: bool,
    key: hmac::Key,
    scheme: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    /// Seconds, with a fraction: a token of one second should live for one.
    exp: f64,
    iat: f64,
    #[serde(default)]
    access: Vec<Access>,
    /// Set in refresh tokens, which open nothing but `/token`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    refresh: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct Access {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<String>,
}

#[derive(Serialize)]
struct TokenReply {
    token: String,
    access_token: String,
    expires_in: u64,
    issued_at: String,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

impl Auth {
    pub fn new(users: &[(String, String)], tokens: Option<Duration>, anonymous_read: bool, tls: bool) -> Result<Auth> {
        let mut secret = [0; 32];
        let drawn = SystemRandom::new().fill(&mut secret);
        drawn.map_err(|_| Error::new(Code::Io, "the system has no random numbers"))?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let users = users.iter().map(|(name, password)| (name.clone(), hmac::sign(&key, password.as_bytes())));
        let scheme = if tls { "https" } else { "http" };
        Ok(Auth { users: users.collect(), tokens, anonymous_read, key, scheme })
    }

    fn open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_none()
    }

    /// Lets the request pass, or says what it lacks.
    pub fn check(&self, parts: &Parts, need: &Need) -> Answer<()> {
        if self.open() {
            return Ok(());
        }
        let reading = matches!(need, Need::Repository(_, Action::Pull));
        let presented = parts.headers.get(AUTHORIZATION).map(|v| v.to_str().unwrap_or_default());
        let Some(presented) = presented else {
            return if reading && self.anonymous_read { Ok(()) } else { Err(self.challenge(parts, need, None)) };
        };
        if self.tokens.is_none() {
            return match self.basic(presented) {
                Some(_) => Ok(()),
                None => Err(self.challenge(parts, need, None)),
            };
        }
        let Some(claims) = self.bearer(presented) else {
            return Err(self.challenge(parts, need, Some("invalid_token")));
        };
        if allows(&claims, need) { Ok(()) } else { Err(self.challenge(parts, need, Some("insufficient_scope"))) }
    }

    /// Whether the request may also read another repository: a mount names two.
    pub fn may_pull(&self, parts: &Parts, repository: &str) -> bool {
        self.check(parts, &Need::Repository(repository.to_owned(), Action::Pull)).is_ok()
    }

    /// The answer to a token that has run out.
    pub fn expired(&self, parts: &Parts, need: &Need) -> Refusal {
        self.challenge(parts, need, Some("invalid_token"))
    }

    fn challenge(&self, parts: &Parts, need: &Need, error: Option<&str>) -> Refusal {
        let refusal = Refusal::new(401, "UNAUTHORIZED", "authentication required");
        if self.tokens.is_none() {
            return refusal.header(WWW_AUTHENTICATE, r#"Basic realm="parbuckle""#);
        }
        // The name that the client knows us by, since it can reach that one.
        let host = parts.headers.get(HOST).and_then(|v| v.to_str().ok()).or(parts.uri.authority().map(|a| a.as_str()));
        let host = host.filter(|h| crate::name::check_registry(h).is_ok()).unwrap_or("localhost");
        let mut text = format!(r#"Bearer realm="{}://{host}/token",service="{SERVICE}""#, self.scheme);
        match need {
            Need::Login => {}
            Need::Catalog => text.push_str(r#",scope="registry:catalog:*""#),
            Need::Repository(name, action) => {
                let actions = match action {
                    Action::Pull => "pull",
                    Action::Push => "pull,push",
                    Action::Delete => "delete",
                };
                text.push_str(&format!(r#",scope="repository:{name}:{actions}""#));
            }
        }
        if let Some(error) = error {
            text.push_str(&format!(r#",error="{error}""#));
        }
        refusal.header(WWW_AUTHENTICATE, text)
    }

    /// The user that the header names and proves.
    fn basic(&self, header: &str) -> Option<&str> {
        let decoded = STANDARD.decode(after_scheme(header, "basic")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        self.login(name, password)
    }

    fn login(&self, name: &str, password: &str) -> Option<&str> {
        let mut found = None;
        for (user, tag) in &self.users {
            if user == name && hmac::verify(&self.key, password.as_bytes(), tag.as_ref()).is_ok() {
                found = Some(user.as_str());
            }
        }
        found
    }

    fn bearer(&self, header: &str) -> Option<Claims> {
        self.read(after_scheme(header, "bearer")?).filter(|claims| !claims.refresh)
    }

    /// A token's claims, if we signed it and it holds.
    fn read(&self, token: &str) -> Option<Claims> {
        #[derive(Deserialize)]
        struct Head {
            alg: String,
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (head, claims) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        let head: Head = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        (head.alg == "HS256" && claims.aud == SERVICE && claims.exp > now()).then_some(claims)
    }

    fn sign(&self, claims: &Claims) -> Result<String> {
        let head = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let body = serde_json::to_vec(claims).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(body));
        let tag = hmac::sign(&self.key, signed.as_bytes());
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// `GET /token` with a password or without, and `POST /token` with an OAuth2 form.
    pub async fn token(&self, parts: &Parts, body: &mut Inbound) -> Answer {
        let Some(lifetime) = self.tokens else {
            return Err(Refusal::new(404, "UNSUPPORTED", "there are no tokens here"));
        };
        let refused = || {
            let refusal = Refusal::new(401, "UNAUTHORIZED", "the user or the password is wrong");
            refusal.header(WWW_AUTHENTICATE, r#"Basic realm="parbuckle""#)
        };
        let form = match parts.method == http::Method::POST {
            false => Query::parse(parts.uri.query().unwrap_or_default()),
            true => {
                let too_long = || Refusal::new(413, "UNSUPPORTED", "the form is too long");
                let broken = |_| Refusal::new(400, "UNSUPPORTED", "the form did not arrive");
                let bytes = body.whole(FORM_MAX).await.map_err(broken)?.ok_or_else(too_long)?;
                Query::parse(&String::from_utf8_lossy(&bytes))
            }
        };
        let wrong_service = form.get("service").is_some_and(|service| service != SERVICE);
        if wrong_service {
            return Err(Refusal::new(400, "UNSUPPORTED", "this is not the token service for that"));
        }
        let (user, offline) = if parts.method == http::Method::POST {
            let field = |name| form.get(name).unwrap_or_default();
            let user = match field("grant_type") {
                "password" => self.login(field("username"), field("password")).map(str::to_owned),
                "refresh_token" => self.read(field("refresh_token")).filter(|c| c.refresh).map(|c| c.sub),
                _ => {
                    return Err(Refusal::new(
                        400,
                        "UNSUPPORTED",
                        "the grant type is neither password nor refresh_token",
                    ));
                }
            };
            (user.ok_or_else(refused)?, field("access_type") == "offline" || field("grant_type") == "refresh_token")
        } else {
            let user = match parts.headers.get(AUTHORIZATION).map(|v| v.to_str().unwrap_or_default()) {
                None => String::new(),
                Some(header) => self.basic(header).ok_or_else(refused)?.to_owned(),
            };
            (user, form.get("offline_token") == Some("true"))
        };
        let reply = self.issue(&user, lifetime, offline, form.all("scope"))?;
        let body = serde_json::to_vec(&reply).map_err(|e| Error::new(Code::Internal, e.to_string()))?;
        let mut reply = json_reply(StatusCode::OK, "application/json", body);
        super::reply::set(&mut reply, http::header::CACHE_CONTROL, "no-store");
        Ok(reply)
    }

    fn issue<'a>(
        &self,
        user: &str,
        lifetime: Duration,
        offline: bool,
        scopes: impl Iterator<Item = &'a str>,
    ) -> Result<TokenReply> {
        let asked = scopes.flat_map(|s| s.split(' ')).filter(|s| !s.is_empty()).take(SCOPES_MAX);
        let access: Vec<Access> = asked.filter_map(|scope| self.grant(scope, user)).collect();
        let named = access.iter().map(|a| format!("{}:{}:{}", a.kind, a.name, a.actions.join(",")));
        let scope = named.collect::<Vec<_>>().join(" ");
        let now = now();
        let claims = |exp: f64, access, refresh| Claims {
            iss: SERVICE.into(),
            sub: user.to_owned(),
            aud: SERVICE.into(),
            exp,
            iat: now,
            access,
            refresh,
        };
        let token = self.sign(&claims(now + lifetime.as_secs_f64(), access, false))?;
        // A refresh token holds as long as the server's key: until it stops.
        let refresh_token = match offline && !user.is_empty() {
            true => Some(self.sign(&claims(1e12, Vec::new(), true))?),
            false => None,
        };
        let issued_at = time::OffsetDateTime::now_utc().format(&time::format_description::well_known::Rfc3339);
        Ok(TokenReply {
            access_token: token.clone(),
            token,
            expires_in: lifetime.as_secs().max(1),
            issued_at: issued_at.unwrap_or_default(),
            scope,
            refresh_token,
        })
    }

    /// What of `kind:name:action,action` the user gets; `None` for nothing.
    fn grant(&self, scope: &str, user: &str) -> Option<Access> {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let allowed = |action: &str| match (user.is_empty(), kind) {
            (false, "repository") => matches!(action, "pull" | "push" | "delete" | "*"),
            (false, "registry") => name == "catalog" && action == "*",
            (true, "repository") => action == "pull" && self.anonymous_read,
            _ => false,
        };
        let actions: Vec<String> = actions.split(',').filter(|a| allowed(a)).map(str::to_owned).collect();
        let (kind, name) = (kind.to_owned(), name.to_owned());
        (!actions.is_empty()).then_some(Access { kind, name, actions })
    }
}

fn allows(claims: &Claims, need: &Need) -> bool {
    let (kind, name, action) = match need {
        Need::Login => return true,
        Need::Catalog => ("registry", "catalog", "*"),
        Need::Repository(name, action) => ("repository", name.as_str(), action.name()),
    };
    let matching = claims.access.iter().filter(|a| a.kind == kind && a.name == name);
    matching.flat_map(|a| &a.actions).any(|a| a == action || a == "*")
}

fn after_scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (name, rest) = header.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then_some(rest.trim())
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth() -> Auth {
        Auth::new(&[("u".into(), "p".into())], Some(Duration::from_secs(60)), true, false).unwrap()
    }

    #[test]
    fn tokens_of_others_are_refused() {
        let (ours, theirs) = (auth(), auth());
        let token = |auth: &Auth| {
            let scopes = ["repository:a/b:pull,push"].into_iter();
            auth.issue("u", Duration::from_secs(60), false, scopes).unwrap().token
        };
        let good = token(&ours);
        assert!(ours.read(&good).is_some());
        assert!(ours.read(&token(&theirs)).is_none());
        let (signed, _) = good.rsplit_once('.').unwrap();
        let claims = signed.split_once('.').unwrap().1;
        let none = URL_SAFE_NO_PAD.encode(br#"{"alg":"none"}"#);
        assert!(ours.read(&format!("{none}.{claims}.")).is_none());
        // Even under our own key, another algorithm is not what we said.
        let signed = format!("{none}.{claims}");
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&ours.key, signed.as_bytes()));
        assert!(ours.read(&format!("{signed}.{tag}")).is_none());
    }

    #[test]
    fn expired_and_foreign_audience() {
        let auth = auth();
        let claims = |exp, aud: &str| Claims {
            iss: SERVICE.into(),
            sub: "u".into(),
            aud: aud.into(),
            exp,
            iat: 0.0,
            access: Vec::new(),
            refresh: false,
        };
        assert!(auth.read(&auth.sign(&claims(now() + 9.0, SERVICE)).unwrap()).is_some());
        assert!(auth.read(&auth.sign(&claims(now() - 0.1, SERVICE)).unwrap()).is_none());
        assert!(auth.read(&auth.sign(&claims(now() + 9.0, "other")).unwrap()).is_none());
    }

    #[test]
    fn grants() {
        let auth = auth();
        let got = |scope, user| auth.grant(scope, user).map(|a| a.actions.join(","));
        assert_eq!(got("repository:a/b:pull,push,fly", "u").as_deref(), Some("pull,push"));
        assert_eq!(got("repository:a/b:pull,push", "").as_deref(), Some("pull"));
        assert_eq!(got("repository:localhost:5000/a:push", "u").as_deref(), Some("push"));
        assert_eq!(got("registry:catalog:*", "").as_deref(), None);
        assert_eq!(got("nonsense", "u"), None);
    }
}
