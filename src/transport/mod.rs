//! How we talk to registries: scheme, credentials, retries, redirects and limits, over one connection pool.
//!
//! Everything above this module says *what* it wants from a registry ([`Call`]); here it is decided how to get it.
//! No request is sent to find out how to talk: the first real one settles the scheme and brings the challenge.

mod bearer;
mod challenge;
mod clients;
mod gate;
mod guard;
mod redact;
mod response;
mod retry;
mod settings;

pub(crate) use redact::redacted;
pub(crate) use response::{Activity, Response, Stalled, Upload, await_headers};
pub(crate) use retry::Budget;
pub(crate) use settings::{Settings, proxies_from_environment};

use crate::context::{Context, Event, lock};
use crate::error::{Code, Error, Result, invalid};
use crate::name::Repository;
use crate::stream::{Chunks, Stats};
use bearer::Tokens;
use bytes::Bytes;
use challenge::Challenge;
use clients::Clients;
use futures_util::future::BoxFuture;
use guard::{Class, Scheme};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use url::Url;

/// Redirects that are followed for one request.
const MAX_REDIRECTS: usize = 10;

/// What a caller wants of a registry.
pub(crate) struct Call<'a> {
    pub method: Method,
    pub repository: &'a Repository,
    pub target: Target<'a>,
    pub headers: HeaderMap,
    pub body: Body,
    /// The actions wanted on the repository, such as `pull` or `pull,push`.
    pub actions: &'static str,
    /// A second repository of the same registry that must be readable (a mount's source).
    pub also_pull: Option<&'a Repository>,
}

/// Which URL a call goes to.
pub(crate) enum Target<'a> {
    /// Below `/v2/<name>/`.
    Path(&'a str),
    /// As a registry's `Location` gave it, resolved.
    Url(Url),
}

/// What goes along with a request. Every kind but `Once` can be sent again.
pub(crate) enum Body {
    Empty,
    Bytes(Bytes),
    Stream {
        len: u64,
        open: Opener,
    },
    /// Of unknown length and from a source that can't be read again by us.
    Once(Mutex<Option<Chunks>>),
}

pub(crate) type Opener = Arc<dyn Fn() -> BoxFuture<'static, Result<Chunks>> + Send + Sync>;

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, repository: &'a Repository, path: &'a str) -> Call<'a> {
        let push = !matches!(method, Method::GET | Method::HEAD);
        Call {
            method,
            repository,
            target: Target::Path(path),
            headers: HeaderMap::new(),
            body: Body::Empty,
            actions: if push { "pull,push" } else { "pull" },
            also_pull: None,
        }
    }
    pub(crate) fn at(method: Method, repository: &'a Repository, url: Url) -> Call<'a> {
        Call { target: Target::Url(url), ..Call::new(method, repository, "") }
    }
    pub(crate) fn header(mut self, name: http::HeaderName, value: impl AsRef<str>) -> Result<Call<'a>> {
        let text = value.as_ref();
        let value =
            HeaderValue::from_str(text).map_err(|_| invalid(format!("{name}: a value with control characters")))?;
        self.headers.insert(name, value);
        Ok(self)
    }
    pub(crate) fn body(mut self, body: Body) -> Call<'a> {
        self.body = body;
        self
    }
}

/// One pool of connections with what was learned about each registry.
pub(crate) struct Transport {
    settings: Settings,
    clients: Clients,
    tokens: Tokens,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    stats: Arc<Stats>,
}

/// What was learned about a registry.
#[derive(Default)]
pub(crate) struct Host {
    scheme: Mutex<Option<Scheme>>,
    class: Mutex<Option<Class>>,
    challenge: Mutex<Option<Challenge>>,
    gates: gate::Gates,
    /// Until then nobody asks this registry anything: it said so (429, 503).
    hold: Mutex<Option<Instant>>,
}

impl Transport {
    pub(crate) fn new(settings: Settings, stats: Arc<Stats>) -> Result<Transport> {
        let clients = Clients::new(&settings)?;
        Ok(Transport { settings, clients, tokens: Tokens::default(), hosts: Mutex::default(), stats })
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends a call and returns the answer, whatever its status, once it is neither a challenge nor a redirect nor a
    /// failure that another try may heal. What is left to the caller is the meaning of the status.
    pub(crate) async fn call(&self, ctx: &Context, budget: &mut Budget, call: &Call<'_>) -> Result<Response> {
        let host = self.host(call.repository.registry());
        let mut renewed = 0;
        let mut shown = None;
        loop {
            self.wait_for_hold(&host).await;
            let outcome = self.send(&host, call, &mut shown).await;
            let failure = match outcome {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && answer.is_from_registry() => {
                    let challenge = Challenge::parse(answer.headers());
                    let refusal = answer.into_error().await;
                    let Some(challenge) = challenge else { return Err(refusal) };
                    self.learn_challenge(&host, call, challenge, renewed, shown.take(), refusal).await?;
                    renewed += 1;
                    if !call.body.can_be_sent_again() {
                        return Err(body_is_gone());
                    }
                    continue; // not a retry: the request was not refused for what it asks
                }
                Ok(answer) if retry::is_worth_it(answer.status()) => {
                    let delay = retry::asked_delay(answer.headers());
                    let status = answer.status();
                    let error = answer.into_error().await;
                    if let Some(delay) = delay {
                        let delay = budget.check_asked(delay, &error)?;
                        host.hold_for(delay);
                    }
                    if status == StatusCode::TOO_MANY_REQUESTS {
                        host.gates.halve();
                        if delay.is_none() {
                            host.hold_for(budget.next_delay());
                        }
                    }
                    error
                }
                Ok(answer) => return Ok(answer),
                Err(e) => match e.get_retry_after() {
                    None => return Err(e),
                    Some(Duration::ZERO) => e,
                    Some(asked) => {
                        budget.check_asked(asked, &e)?;
                        e
                    }
                },
            };
            if !call.body.can_be_sent_again() {
                return Err(failure);
            }
            let delay = budget.spend(failure)?;
            self.stats.retries.add(1);
            ctx.emit(&Event {
                kind: "retry",
                subject: call.repository.to_string(),
                done: 0,
                total: None,
                message: budget.last().map(ToString::to_string).unwrap_or_default(),
            });
            tokio::time::sleep(delay).await;
        }
    }

    /// A place among the blobs that move to or from this registry.
    pub(crate) async fn transfer(&self, registry: &str, size: u64) -> gate::Place {
        self.host(registry).gates.enter(size).await
    }

    /// Resolves a `Location` that a registry gave for an upload, under the same rules as a redirect.
    pub(crate) fn resolve_location(&self, answer: &Response) -> Result<Url> {
        let text = answer.headers().get(LOCATION).and_then(|v| v.to_str().ok());
        let text = text.ok_or_else(|| answer.protocol_error("the answer has no Location"))?;
        let host = self.host(answer.registry());
        guard::resolve(answer.url(), text, host.class())
    }

    async fn send(&self, host: &Arc<Host>, call: &Call<'_>, shown: &mut Option<HeaderValue>) -> Result<Response> {
        let registry = call.repository.registry();
        let scheme = host.scheme();
        let Some(scheme) = scheme else { return self.send_first(host, call, shown).await };
        let url = match &call.target {
            Target::Url(url) => url.clone(),
            Target::Path(path) => api_url(scheme, call.repository, path)?,
        };
        let own = guard::is_origin(&url, scheme, registry);
        let authorization = match own {
            true => self.authorization(host, call).await?,
            false => None,
        };
        shown.clone_from(&authorization);
        self.follow(host, call, url, authorization).await
    }

    /// The first request to a registry whose scheme is not known yet. It carries no credentials.
    async fn send_first(&self, host: &Arc<Host>, call: &Call<'_>, shown: &mut Option<HeaderValue>) -> Result<Response> {
        let registry = call.repository.registry();
        let order = guard::schemes(registry, self.settings.is_plain(registry));
        let [first, rest @ ..] = order else { return Err(invalid("no scheme for this registry").subject(registry)) };
        if rest.is_empty() {
            host.settle(*first);
            return Box::pin(self.send(host, call, shown)).await;
        }
        // Only a request without a body may be tried twice; others let the registry's root settle the scheme.
        let direct = matches!(call.method, Method::GET | Method::HEAD);
        let mut failure: Option<Error> = None;
        for scheme in order {
            let (method, url) = match (direct, &call.target) {
                (true, Target::Path(path)) => (call.method.clone(), api_url(*scheme, call.repository, path)?),
                _ => (Method::GET, root_url(*scheme, registry)?),
            };
            let probe = Call { method, headers: call.headers.clone(), ..Call::new(Method::GET, call.repository, "") };
            match self.follow(host, &probe, url, None).await {
                Ok(answer) if answer.speaks_https_only() => {
                    failure.get_or_insert(answer.protocol_error("it speaks https only"));
                }
                Ok(answer) => {
                    host.settle(*scheme);
                    if direct {
                        return Ok(answer);
                    }
                    if let Some(challenge) = Challenge::parse(answer.headers()) {
                        *lock(&host.challenge) = Some(challenge);
                    }
                    return Box::pin(self.send(host, call, shown)).await;
                }
                // Who listens and does not answer is slow, not of the other scheme.
                Err(e) if e.code() == Code::TimedOut => return Err(failure.unwrap_or(e)),
                // A certificate that is not trusted tells more than what happened before.
                Err(e) if e.code() == Code::Tls => failure = Some(e),
                Err(e) => {
                    failure.get_or_insert(e);
                }
            }
        }
        Err(failure.unwrap_or_else(|| Error::new(Code::Unavailable, "no answer").subject(registry)))
    }

    /// Sends one request and follows redirects of GET and HEAD.
    async fn follow(
        &self,
        host: &Arc<Host>,
        call: &Call<'_>,
        mut url: Url,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Response> {
        let registry = call.repository.registry();
        for _ in 0..=MAX_REDIRECTS {
            let own = guard::has_authority(&url, registry);
            let client = self.clients.get(url.scheme(), (!own).then(|| host.class()))?;
            if !own {
                guard::check_literal(&url, host.class())?;
            }
            let mut headers = call.headers.clone();
            headers.insert(USER_AGENT, self.settings.user_agent.clone());
            if let Some(value) = &authorization {
                headers.insert(AUTHORIZATION, value.clone());
            }
            let mut request = reqwest::Request::new(call.method.clone(), url.clone());
            let activity = Arc::new(response::Activity::new());
            if let Some((len, body)) = self.open_body(&call.body, &activity).await? {
                if let Some(len) = len {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
                }
                *request.body_mut() = Some(body);
            } else if !matches!(call.method, Method::GET | Method::HEAD) {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            }
            *request.headers_mut() = headers;
            self.stats.requests.add(1);
            let idle = (self.settings.first_byte, self.settings.idle);
            let answer = response::await_headers(client.execute(request), idle, &activity).await;
            let answer = answer.map_err(|e| response::network_error(e, &url, None))?;
            let answer = answer.map_err(|e| response::network_error(e, &url, activity.failure()))?;
            // Behind a proxy this is the proxy's address, which says nothing of the registry.
            let direct = self.settings.proxies.is_empty() || guard::is_loopback(registry);
            if own
                && direct
                && let Some(address) = answer.remote_addr()
            {
                *lock(&host.class) = Some(Class::of(address.ip()));
            }
            let answer = Response::new(answer, registry, own, &self.settings, self.stats.clone());
            let redirected = answer.status().is_redirection() && answer.headers().contains_key(LOCATION);
            if !redirected || !matches!(call.method, Method::GET | Method::HEAD) {
                return Ok(answer);
            }
            let next = self.resolve_location(&answer)?;
            if !guard::same_origin(&url, &next) {
                authorization = None;
            }
            url = next;
        }
        let why = format!("more than {MAX_REDIRECTS} redirects");
        Err(Error::new(Code::LimitExceeded, why).subject(redacted(&url)))
    }

    async fn open_body(
        &self,
        body: &Body,
        activity: &Arc<response::Activity>,
    ) -> Result<Option<(Option<u64>, reqwest::Body)>> {
        let (len, chunks) = match body {
            Body::Empty => return Ok(None),
            Body::Bytes(bytes) => (Some(bytes.len() as u64), Chunks::from_bytes(bytes.clone())),
            Body::Stream { len, open } => (Some(*len), open().await?),
            Body::Once(chunks) => (None, lock(chunks).take().ok_or_else(body_is_gone)?),
        };
        Ok(Some((len, response::upload_body(chunks, activity.clone(), self.stats.clone(), len))))
    }

    /// The header for a call to a registry whose challenge is known; a token is fetched before it is asked for.
    async fn authorization(&self, host: &Arc<Host>, call: &Call<'_>) -> Result<Option<HeaderValue>> {
        let challenge = lock(&host.challenge).clone();
        match challenge {
            None => Ok(None),
            Some(challenge) => bearer::authorization(self, host, call, &challenge).await,
        }
    }

    /// A 401 came: find out whether other credentials can help.
    async fn learn_challenge(
        &self,
        host: &Arc<Host>,
        call: &Call<'_>,
        challenge: Challenge,
        renewed: u32,
        shown: Option<HeaderValue>,
        refusal: Error,
    ) -> Result<()> {
        let registry = call.repository.registry();
        host.settle_if_unknown(guard::schemes(registry, self.settings.is_plain(registry)));
        let known = lock(&host.challenge).replace(challenge.clone());
        if known.is_none() || (shown.is_none() && renewed == 0) {
            return Ok(()); // the request went without credentials; now we know which ones are wanted
        }
        // A token may have expired under way: once more with a fresh one. A password does not get better.
        if challenge.is_bearer() && renewed < 2 {
            self.tokens.forget(call, shown.as_ref()).await;
            return Ok(());
        }
        Err(bearer::refused(self, call, &challenge, refusal))
    }

    async fn wait_for_hold(&self, host: &Host) {
        loop {
            let until = *lock(&host.hold);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until.into()).await,
                _ => return,
            }
        }
    }

    fn host(&self, registry: &str) -> Arc<Host> {
        lock(&self.hosts).entry(registry.to_owned()).or_default().clone()
    }
}

impl Host {
    fn scheme(&self) -> Option<Scheme> {
        *lock(&self.scheme)
    }
    fn settle(&self, scheme: Scheme) {
        *lock(&self.scheme) = Some(scheme);
    }
    fn settle_if_unknown(&self, order: &[Scheme]) {
        if let (None, [only]) = (self.scheme(), order) {
            self.settle(*only);
        }
    }
    /// Where the registry lives; before the first connection, as strict as it gets.
    fn class(&self) -> Class {
        lock(&self.class).unwrap_or(Class::Public)
    }
    fn hold_for(&self, delay: std::time::Duration) {
        let until = Instant::now() + delay;
        let mut hold = lock(&self.hold);
        if hold.is_none_or(|h| h < until) {
            *hold = Some(until);
        }
    }
}

impl Body {
    fn can_be_sent_again(&self) -> bool {
        match self {
            Body::Once(chunks) => lock(chunks).is_some(),
            _ => true,
        }
    }
}

fn body_is_gone() -> Error {
    Error::new(Code::Io, "the request broke, and its body can't be read a second time")
        .retry_after(std::time::Duration::ZERO)
}

fn api_url(scheme: Scheme, repository: &Repository, path: &str) -> Result<Url> {
    let text = format!("{}://{}/v2/{}/{path}", scheme.name(), repository.registry(), repository.path());
    Url::parse(&text).map_err(|e| invalid(format!("not a URL: {e}")).subject(repository))
}

fn root_url(scheme: Scheme, registry: &str) -> Result<Url> {
    let text = format!("{}://{registry}/v2/", scheme.name());
    Url::parse(&text).map_err(|e| invalid(format!("not a URL: {e}")).subject(registry))
}
