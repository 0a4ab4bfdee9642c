//! Calls to endpoints: one pooled client, every wait bounded by the call's deadline, every body by a size.
//! Never retries, never follows a redirect, never takes settings from the environment.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use lectern_resilience::deadline::Deadline;
use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER,
};
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thread_local::ThreadLocal;
use url::Url;

use crate::error::{ModelError, SetupError};
use crate::patience::until;
use crate::rejection::{Rejection, RetryAfter};

/// The wait to the millisecond, which the providers' own clients honour beside the standard header.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The pools of connections that all endpoints share: one per thread, since a connection lives in the runtime that opened
/// it, and replies that cross threads cost more than the connections that are saved. Built once by the composition root;
/// clones are handles.
#[derive(Debug, Clone)]
pub struct Http {
    clients: Arc<ThreadLocal<reqwest::Client>>,
}

impl Http {
    /// Longest wait for a connection: beyond it a host is down, however much time the request has left.
    const CONNECT_WITHIN: Duration = Duration::from_secs(3);

    /// Prepares the client; opens no connection.
    pub fn new() -> Result<Self, SetupError> {
        let http = Self { clients: Arc::default() };
        http.client().map_err(|error| SetupError::Tls(error.into()))?;
        Ok(http)
    }

    /// The client of this thread.
    fn client(&self) -> reqwest::Result<&reqwest::Client> {
        self.clients.get_or_try(|| {
            reqwest::Client::builder()
                .connect_timeout(Self::CONNECT_WITHIN)
                .redirect(Policy::none())
                .no_proxy()
                .user_agent(concat!("lectern/", env!("CARGO_PKG_VERSION")))
                .build()
        })
    }
}

/// What a section of the configuration says about an endpoint.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    /// Name of the section, for messages.
    pub(crate) section: &'a str,
    pub(crate) url: Option<&'a Url>,
    pub(crate) model: &'a str,
    pub(crate) api_key: Option<&'a SecretString>,
    pub(crate) scheme: Scheme,
}

/// How a provider wants to be shown the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// `Authorization: Bearer`.
    Bearer,
    /// `x-api-key`, beside the version of the protocol.
    Anthropic,
}

impl Scheme {
    /// The version of Anthropic's protocol that is spoken here; theirs to publish, ours to follow.
    const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

    fn headers(self, api_key: Option<&SecretString>) -> Result<HeaderMap, InvalidHeaderValue> {
        let mut headers = HeaderMap::new();
        if self == Self::Anthropic {
            headers.insert(HeaderName::from_static("anthropic-version"), Self::ANTHROPIC_VERSION);
        }
        if let Some(key) = api_key.map(ExposeSecret::expose_secret) {
            let (name, value) = match self {
                Self::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
                Self::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
            };
            let mut value = HeaderValue::try_from(value)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(headers)
    }
}

/// One address that takes JSON, and the key to it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    http: Http,
    url: Url,
    model: String,
    headers: HeaderMap,
    api_key: Option<SecretString>,
}

impl Endpoint {
    /// Time for reading why a call was refused: the status says enough when the text does not come.
    const REASON_WITHIN: Duration = Duration::from_secs(2);
    /// Most of a refusal that is read: providers explain themselves in a few hundred bytes.
    const REASON_BYTES: usize = 64 * 1024;

    /// The endpoint at `path` below the account's address.
    pub(crate) fn new(http: &Http, account: &Account<'_>, path: &[&str]) -> Result<Self, SetupError> {
        let setting = |name, reason| SetupError::setting(account.section, name, reason);
        let mut url = account.url.cloned().ok_or_else(|| {
            setting("url", "is missing: give the base address, e.g. `https://api.openai.com/v1`")
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(setting("url", "must begin with `http://` or `https://`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(setting("url", "must not contain a password: put it into `api_key`"));
        }
        url.path_segments_mut()
            .map_err(|()| setting("url", "must be a base address"))?
            .pop_if_empty()
            .extend(path);
        if account.model.is_empty() {
            return Err(setting("model", "is missing: give the model's name as the provider knows it"));
        }
        let headers = account.scheme.headers(account.api_key).map_err(|_| {
            setting("api_key", "contains a line break or another character no header can carry")
        })?;
        Ok(Self {
            http: http.clone(),
            url,
            model: account.model.to_owned(),
            headers,
            api_key: account.api_key.cloned(),
        })
    }

    /// Name of the model that is asked for.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Sends `body`; resolves when the provider has accepted it and begins to answer.
    pub(crate) async fn post(&self, body: &impl Serialize, deadline: Deadline) -> Result<Reply, ModelError> {
        let client = self.http.client().map_err(|error| ModelError::unavailable(&self.model, error))?;
        let request = client.post(self.url.clone()).headers(self.headers.clone()).json(body);
        let sent = until(deadline, request.send()).await.ok_or_else(|| ModelError::late(&self.model))?;
        let response = sent.map_err(|error| transport_failure(&self.model, error))?;
        let reply = Reply { response, model: self.model.clone(), deadline, silence: None };
        if reply.response.status().is_success() { Ok(reply) } else { Err(self.rejection(reply).await) }
    }

    async fn rejection(&self, mut reply: Reply) -> ModelError {
        reply.deadline = reply.deadline.at_most(Instant::now(), Self::REASON_WITHIN);
        let status = reply.response.status().as_u16();
        let retry_after = RetryAfter {
            milliseconds: reply.header(&RETRY_AFTER_MS).map(str::to_owned),
            standard: reply.header(&RETRY_AFTER).map(str::to_owned),
        };
        let mut body = Vec::new();
        while let Ok(Some(bytes)) = reply.chunk().await {
            body.extend(bytes.into_iter().take(Self::REASON_BYTES - body.len()));
            if body.len() == Self::REASON_BYTES {
                break;
            }
        }
        Rejection { status, retry_after, body: &body, api_key: self.api_key.as_ref() }
            .into_error(&self.model, SystemTime::now())
    }

    /// The account's key, to keep it out of what providers say.
    pub(crate) fn api_key(&self) -> Option<&SecretString> {
        self.api_key.as_ref()
    }
}

/// An accepted call whose answer is still coming. Dropping it closes the call.
#[derive(Debug)]
pub(crate) struct Reply {
    response: reqwest::Response,
    model: String,
    deadline: Deadline,
    /// Longest wait for a piece of the body.
    silence: Option<Duration>,
}

impl Reply {
    /// The same, failing when the provider is silent for that long.
    pub(crate) fn breaking_silence(self, silence: Duration) -> Self {
        Self { silence: Some(silence), ..self }
    }

    /// Whether the provider announces server-sent events.
    pub(crate) fn is_event_stream(&self) -> bool {
        self.header(&CONTENT_TYPE).is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
    }

    /// The next piece of the body, none at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, ModelError> {
        // A timer alone never fires while the provider is faster than the reader.
        let now = Instant::now();
        if self.deadline.has_passed(now) {
            return Err(ModelError::late(&self.model));
        }
        let until_here = self.silence.map_or(self.deadline, |silence| self.deadline.at_most(now, silence));
        match until(until_here, self.response.chunk()).await {
            None if until_here < self.deadline => {
                Err(ModelError::Stalled { model: self.model.clone(), silence: until_here.remaining(now) })
            }
            None => Err(ModelError::late(&self.model)),
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(error)) => Err(transport_failure(&self.model, error)),
        }
    }

    /// The whole body, of at most `limit` bytes, as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(mut self, limit: usize) -> Result<T, ModelError> {
        let mut body = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if bytes.len() > limit.saturating_sub(body.len()) {
                return Err(ModelError::garbled(&self.model, format!("longer than {limit} bytes")));
            }
            body.extend_from_slice(&bytes);
        }
        serde_json::from_slice(&body).map_err(|error| ModelError::garbled(&self.model, error))
    }

    /// Reads what is left for a moment, so that the connection goes back to the pool.
    pub(crate) async fn drain(mut self, within: Duration) {
        self.deadline = self.deadline.at_most(Instant::now(), within);
        while let Ok(Some(_)) = self.chunk().await {}
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }
}

/// What a broken connection means to the caller. The address stays out of it: it may carry secrets.
fn transport_failure(model: &str, error: reqwest::Error) -> ModelError {
    if error.is_connect() && error.is_timeout() {
        // Another try would take as long.
        return ModelError::Stalled { model: model.to_owned(), silence: Http::CONNECT_WITHIN };
    }
    let request_is_bad = error.is_builder();
    let error = error.without_url();
    if request_is_bad { ModelError::refused(model, error) } else { ModelError::unavailable(model, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str, api_key: Option<&str>) -> Result<Endpoint, SetupError> {
        let url = Url::parse(url).unwrap();
        let key = api_key.map(SecretString::from);
        let account = Account {
            section: "llm",
            url: Some(&url),
            model: "gpt",
            api_key: key.as_ref(),
            scheme: Scheme::Bearer,
        };
        Endpoint::new(&Http::new().unwrap(), &account, &["chat", "completions"])
    }

    #[test]
    fn the_path_is_appended_with_and_without_a_closing_slash() {
        for base in ["http://localhost:1/v1", "http://localhost:1/v1/"] {
            assert_eq!(open(base, None).unwrap().url.as_str(), "http://localhost:1/v1/chat/completions");
        }
    }

    #[test]
    fn an_address_that_cannot_be_called_is_a_fault_of_its_setting() {
        for base in ["ftp://host/v1", "data:text/plain,x", "http://user:secret@host/v1"] {
            let error = open(base, None).unwrap_err().to_string();
            assert!(error.starts_with("llm.url: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_key_is_in_no_debug_print_and_in_no_error() {
        let endpoint = open("http://localhost:1/v1", Some("sk-planted")).unwrap();
        assert!(!format!("{endpoint:?}").contains("sk-planted"));
        let error = open("http://localhost:1/v1", Some("sk-planted\n")).unwrap_err();
        assert!(error.to_string().starts_with("llm.api_key: "));
        assert!(!format!("{error:?}").contains("sk-planted"));
    }
}
