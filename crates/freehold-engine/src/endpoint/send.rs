//! One HTTP request and what came of it.

use std::io::Read;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::retry::{Failure, retry_after};
use super::wire::{Ask, Events, Heard, Told, error_text, withheld};
use super::{KEY_VARIABLE, Options};
use crate::error::{EngineError, Result};

/// A reply longer than this is no answer to a question.
const LARGEST: u64 = 64 << 20;

pub(super) struct Client {
    agent: Agent,
    pub base: String,
    /// Whole value of the `Authorization` header. Never printed.
    authorization: Option<String>,
}

impl Client {
    pub fn new(base: &str, key: Option<String>, options: &Options) -> Result<Self> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("freehold/", env!("CARGO_PKG_VERSION")))
            // A key must not follow a redirection to another host.
            .max_redirects(0)
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(options.silence))
            .timeout_per_read(Some(options.silence))
            .timeout_per_write(Some(options.silence))
            .build();
        let key = key.map(|k| k.trim().to_string()).filter(|k| !k.is_empty());
        if key.as_ref().is_some_and(|k| !k.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(EngineError::Endpoint {
                url: base.into(),
                reason: format!(
                    "the key in {KEY_VARIABLE} has a character that no key has (a space, a line end?)"
                ),
            });
        }
        Ok(Self {
            agent: Agent::new_with_config(config),
            base: base.into(),
            authorization: key.map(|k| format!("Bearer {k}")),
        })
    }

    /// Names of the models that the server offers.
    pub fn models(&self) -> Result<Vec<String>, Failure> {
        let mut request = self.agent.get(format!("{}/models", self.base));
        if let Some(a) = &self.authorization {
            request = request.header("authorization", a);
        }
        let mut response = request.call().map_err(|e| connection(&e))?;
        let text = self.whole(&mut response)?;
        let value: Value = serde_json::from_str(&text).map_err(|e| nonsense(&text, &e))?;
        let list = value.get("data").or_else(|| value.get("models")).and_then(Value::as_array);
        let name = |m: &Value| m.get("id").or_else(|| m.get("name"))?.as_str().map(str::to_string);
        Ok(list.into_iter().flatten().filter_map(name).collect())
    }

    /// Posts a question; new text is told as it comes when the body asks for a stream.
    pub fn send(&self, path: &str, body: &Ask<'_>, text: &mut dyn FnMut(&str)) -> Result<Heard, Failure> {
        let json = serde_json::to_vec(body).map_err(|e| Failure::Lasting(e.to_string()))?;
        let mut request =
            self.agent.post(format!("{}/{path}", self.base)).header("content-type", "application/json");
        if let Some(a) = &self.authorization {
            request = request.header("authorization", a);
        }
        let mut response = request.send(&json[..]).map_err(|e| connection(&e))?;
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default();
        if response.status().is_success() && kind.starts_with("text/event-stream") {
            return stream(response.body_mut().as_reader(), text);
        }
        let answer = self.whole(&mut response)?;
        let told: Told = serde_json::from_str(&answer).map_err(|e| nonsense(&answer, &e))?;
        if told.choices.is_empty() && told.error.is_none() {
            return Err(Failure::Passing { why: "the reply has no `choices`".into(), pause: None });
        }
        let mut heard = Heard::default();
        let new = heard.take(told).map_err(refused)?;
        if body.stream {
            text(&new);
        }
        Ok(heard)
    }

    /// The body of a successful response; the meaning of another.
    fn whole(&self, response: &mut Response<ureq::Body>) -> Result<String, Failure> {
        let status = response.status();
        let pause = response
            .headers()
            .get("retry-after")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| retry_after(v, SystemTime::now()));
        let mut text = String::new();
        let read = response.body_mut().as_reader().take(LARGEST).read_to_string(&mut text);
        if status.is_success() {
            read.map_err(|e| Failure::Passing { why: format!("the reply was cut: {e}"), pause: None })?;
            return Ok(text);
        }
        let words = serde_json::from_str::<Value>(&text)
            .map_or_else(|_| text.trim().chars().take(200).collect(), |v| error_text(&v));
        let code = status.as_u16();
        let words = match (code, &self.authorization) {
            (401 | 403, None) if !withheld(&words) => {
                format!("HTTP {code}: it wants a key; put yours into {KEY_VARIABLE} ({words})")
            }
            (401, Some(_)) => format!("HTTP 401: the key in {KEY_VARIABLE} is not accepted ({words})"),
            (404, _) => {
                format!("HTTP 404: no such model or address; the address should end in /v1 ({words})")
            }
            (300..=399, _) => format!("HTTP {code}: it redirects elsewhere; name the address itself"),
            _ => format!("HTTP {code}: {words}"),
        };
        Err(match code {
            408 | 409 | 425 | 429 | 500..=599 => Failure::Passing { why: words, pause },
            _ if withheld(&words) => Failure::Withheld(words),
            _ => Failure::Lasting(words),
        })
    }
}

fn connection(e: &ureq::Error) -> Failure {
    match e {
        ureq::Error::BadUri(_) | ureq::Error::InvalidProxyUrl | ureq::Error::Tls(_) => {
            Failure::Lasting(e.to_string())
        }
        _ => Failure::Passing { why: format!("no answer: {e}"), pause: None },
    }
}

fn nonsense(text: &str, e: &serde_json::Error) -> Failure {
    let shown: String = text.chars().take(60).collect();
    Failure::Passing { why: format!("the reply is no JSON ({e}): {shown:?}"), pause: None }
}

fn refused(words: String) -> Failure {
    if withheld(&words) { Failure::Withheld(words) } else { Failure::Passing { why: words, pause: None } }
}

/// A stream is whole when it told why it ended; one that was cut before brings no answer.
fn stream(mut from: impl Read, text: &mut dyn FnMut(&str)) -> Result<Heard, Failure> {
    let (mut heard, mut events, mut buffer) = (Heard::default(), Events::default(), [0; 8192]);
    let mut ended = false;
    let mut failure = None;
    let mut told_any = false;
    let mut take = |data: &str, heard: &mut Heard| -> Result<(), String> {
        if data.trim() == "[DONE]" {
            ended = true;
            return Ok(());
        }
        let told: Told = serde_json::from_str(data).map_err(|e| format!("an event is no JSON ({e})"))?;
        let new = heard.take(told).inspect_err(|e| failure = Some(refused(e.clone())))?;
        if !new.is_empty() {
            told_any = true;
            text(&new);
        }
        Ok(())
    };
    let mut why = "the stream was cut before its end".to_string();
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) => {
                why = format!("the stream was cut: {e}");
                break;
            }
        };
        if let Err(e) = events.push(&buffer[..n], |d| take(d, &mut heard)) {
            why = e;
            break;
        }
    }
    let _ = events.end(|d| take(d, &mut heard));
    if let Some(failure) = failure {
        return Err(failure);
    }
    if heard.finish.is_some() || ended {
        return Ok(heard);
    }
    // What a person has read cannot be taken back and told anew.
    Err(if told_any { Failure::Lasting(why) } else { Failure::Passing { why, pause: None } })
}
