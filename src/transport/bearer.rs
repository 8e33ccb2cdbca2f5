//! Tokens: fetched from the realm that a registry's challenge names, shared between calls, renewed before they
//! expire (Docker's token authentication spec; OAuth2 for identity tokens).

use crate::auth::Credential;
use crate::context::lock;
use crate::error::{Code, Error, Result};
use crate::transport::challenge::Challenge;
use crate::transport::redact::redacted;
use crate::transport::response::{self, Activity, Response};
use crate::transport::settings::limits;
use crate::transport::{Call, Host, Transport, guard};
use base64::Engine as _;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{Method, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;

/// How long a token lives that doesn't say so (Docker's token specification).
const LIFE: Duration = Duration::from_secs(60);
/// What identifies us to a token service.
const CLIENT_ID: &str = "parbuckle";

/// The tokens of a client, by registry and scopes.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(String, Vec<String>), Slot>>);

/// Locked while a token is fetched, so that all who wait for the same share one fetch.
type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

impl Tokens {
    fn slot(&self, registry: &str, scopes: &[String]) -> Slot {
        lock(&self.0).entry((registry.to_owned(), scopes.to_owned())).or_default().clone()
    }
    /// Drops the token that was refused, unless somebody has renewed it already.
    pub(crate) async fn forget(&self, call: &Call<'_>, refused: Option<&HeaderValue>) {
        let slot = self.slot(call.repository.registry(), &scopes(call));
        let mut token = slot.lock().await;
        if token.as_ref().map(|t| &t.header) == refused {
            *token = None;
        }
    }
}

/// The `Authorization` for a call under this challenge; `None` where we have nothing to say.
pub(crate) async fn authorization(
    transport: &Transport,
    host: &Arc<Host>,
    call: &Call<'_>,
    challenge: &Challenge,
) -> Result<Option<HeaderValue>> {
    let credential = transport.settings.keychain.resolve(call.repository)?;
    match (challenge, credential) {
        (_, Credential::Bearer(token)) => Ok(Some(secret_header(format!("Bearer {token}"))?)),
        (Challenge::Basic, Credential::Basic(user, password)) => Ok(Some(basic(&user, &password)?)),
        (Challenge::Basic, Credential::None) => Ok(None),
        (Challenge::Basic, Credential::Identity(_)) => Ok(None),
        (Challenge::Bearer { realm, service }, credential) => {
            let scopes = scopes(call);
            let slot = transport.tokens.slot(call.repository.registry(), &scopes);
            let mut token = slot.lock().await; // one fetch for all who wait for the same
            if let Some(token) = &*token
                && token.until > Instant::now()
            {
                return Ok(Some(token.header.clone()));
            }
            let fresh = fetch(transport, host, call, realm, service.as_deref(), &scopes, &credential).await?;
            let header = fresh.header.clone();
            *token = Some(fresh);
            Ok(Some(header))
        }
    }
}

/// Why credentials were refused, after everything was tried.
pub(crate) fn refused(transport: &Transport, call: &Call<'_>, challenge: &Challenge, refusal: Error) -> Error {
    let known = transport.settings.keychain.resolve(call.repository).unwrap_or(Credential::None);
    let repository = call.repository;
    let (code, text) = match (&known, challenge) {
        (Credential::None, _) => {
            let hint = transport.settings.keychain.hint(repository).unwrap_or_default();
            (
                Code::Unauthenticated,
                format!("{} wants credentials, and there are none for it{hint}", repository.registry()),
            )
        }
        (_, Challenge::Basic) | (Credential::Bearer(_), _) => {
            (Code::Unauthenticated, format!("{} refused the credentials", repository.registry()))
        }
        // The token service took the credentials; what it gave for them does not reach.
        (_, Challenge::Bearer { .. }) => (Code::Denied, format!("the credentials don't allow {}", call.actions)),
    };
    let status = refusal.get_http_status().unwrap_or(401);
    let registry_code = refusal.get_registry_code().map(ToOwned::to_owned);
    let error = Error::new(code, text).subject(repository).http_status(status).cause(refusal);
    match registry_code {
        Some(c) => error.registry_code(c),
        None => error,
    }
}

fn scopes(call: &Call<'_>) -> Vec<String> {
    let mut scopes = vec![format!("repository:{}:{}", call.repository.path(), call.actions)];
    if let Some(other) = call.also_pull {
        scopes.push(format!("repository:{}:pull", other.path()));
    }
    scopes
}

async fn fetch(
    transport: &Transport,
    host: &Arc<Host>,
    call: &Call<'_>,
    realm: &str,
    service: Option<&str>,
    scopes: &[String],
    credential: &Credential,
) -> Result<Token> {
    let registry = call.repository.registry();
    let scheme = host.scheme().unwrap_or(guard::Scheme::Https);
    let base = Url::parse(&format!("{}://{registry}/v2/", scheme.name()));
    let base = base.map_err(|e| Error::new(Code::InvalidArgument, format!("not a URL: {e}")).subject(registry))?;
    if Url::parse(realm).is_err() {
        return Err(Error::new(Code::Protocol, "the challenge's realm is not a URL").subject(registry));
    }
    let url = guard::resolve(&base, realm, host.class())?;
    // One try: a failure that another may heal is the failure of the call that wants the token, which has several.
    let answer = match credential {
        Credential::Identity(refresh) => {
            let form = form(service, scopes, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]);
            let answer = exchange(transport, host, registry, Method::POST, url.clone(), None, Some(form)).await?;
            match answer.status() {
                // Services without OAuth2 answer 404 (as the reference found out); ask them the older way.
                StatusCode::NOT_FOUND => {
                    let header = basic("<token>", refresh)?;
                    get(transport, host, registry, &url, service, scopes, Some(header)).await?
                }
                _ => answer,
            }
        }
        Credential::Basic(user, password) => {
            get(transport, host, registry, &url, service, scopes, Some(basic(user, password)?)).await?
        }
        _ => get(transport, host, registry, &url, service, scopes, None).await?,
    };
    if !answer.status().is_success() {
        return Err(refused_by_service(registry, credential, answer).await);
    }
    read_token(answer).await
}

async fn get(
    transport: &Transport,
    host: &Arc<Host>,
    registry: &str,
    realm: &Url,
    service: Option<&str>,
    scopes: &[String],
    authorization: Option<HeaderValue>,
) -> Result<Response> {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|s| ("service", s)));
        query.extend_pairs(scopes.iter().map(|s| ("scope", s)));
    }
    exchange(transport, host, registry, Method::GET, url, authorization, None).await
}

fn form(service: Option<&str>, scopes: &[String], more: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("client_id", CLIENT_ID).append_pair("scope", &scopes.join(" "));
    form.extend_pairs(service.map(|s| ("service", s)));
    form.extend_pairs(more);
    form.finish()
}

/// One request to a token service. Its redirects are not followed: they would take the password elsewhere.
async fn exchange(
    transport: &Transport,
    host: &Arc<Host>,
    registry: &str,
    method: Method,
    url: Url,
    authorization: Option<HeaderValue>,
    form: Option<String>,
) -> Result<Response> {
    let own = guard::has_authority(&url, registry);
    let client = transport.clients.get(url.scheme(), (!own).then(|| host.class()))?;
    let mut request = reqwest::Request::new(method, url.clone());
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, transport.settings.user_agent.clone());
    if let Some(value) = authorization {
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(form) = form {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.body_mut() = Some(form.into());
    }
    transport.stats.requests.add(1);
    let patience = (transport.settings.first_byte, transport.settings.idle);
    let answer = response::await_headers(client.execute(request), patience, &Activity::new()).await;
    let answer = answer.map_err(|e| response::network_error(e, &url, None))?;
    let answer = answer.map_err(|e| response::network_error(e, &url, None))?;
    if answer.status().is_redirection() {
        return Err(Error::new(Code::Protocol, "the token service redirects").subject(redacted(&url)));
    }
    Ok(Response::new(answer, registry, own, &transport.settings, transport.stats.clone()))
}

async fn refused_by_service(registry: &str, credential: &Credential, answer: Response) -> Error {
    let status = answer.status();
    let cause = answer.into_error().await;
    let known = !matches!(credential, Credential::None);
    let (code, text) = match (status, known) {
        (StatusCode::UNAUTHORIZED, true) => (Code::Unauthenticated, "its token service refused the credentials"),
        (StatusCode::UNAUTHORIZED, false) => {
            (Code::Unauthenticated, "its token service wants credentials, and there are none")
        }
        (StatusCode::FORBIDDEN, _) => (Code::Denied, "its token service doesn't allow this"),
        _ => (cause.code(), "its token service failed"),
    };
    let error = Error::new(code, text).subject(registry).http_status(status.as_u16());
    let error = match cause.get_retry_after() {
        Some(after) => error.retry_after(after),
        None => error,
    };
    error.cause(cause)
}

async fn read_token(answer: Response) -> Result<Token> {
    #[derive(serde::Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<f64>,
    }
    let url = redacted(answer.url());
    let body = answer.bytes(limits::TOKEN, "the token service's answer").await?;
    let wrong = |why: &str| Error::new(Code::Protocol, format!("the token service's answer {why}")).subject(&url);
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| wrong("is not a token in JSON"))?;
    let token = answer.access_token.or(answer.token).filter(|t| !t.is_empty());
    let token = token.ok_or_else(|| wrong("holds no token"))?;
    let life = answer.expires_in.filter(|s| *s > 0.0 && *s < 1e9).map_or(LIFE, Duration::from_secs_f64);
    // Renewed a little early, so that it does not expire on the way.
    let early = (life / 5).min(Duration::from_secs(10));
    Ok(Token { header: secret_header(format!("Bearer {token}"))?, until: Instant::now() + (life - early) })
}

fn basic(user: &str, password: &str) -> Result<HeaderValue> {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret_header(format!("Basic {pair}"))
}

fn secret_header(text: String) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&text);
    let mut value = value.map_err(|_| Error::new(Code::Malformed, "a credential has control characters in it"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl crate::transport::Settings {
    pub(crate) fn budget(&self) -> super::Budget {
        super::Budget::new(self.attempts, self.first_delay)
    }
}
