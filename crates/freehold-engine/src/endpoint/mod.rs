//! Any server that speaks the OpenAI API (vLLM, SGLang, llama.cpp, Ollama, hosted ones) as an [`Engine`].
//!
//! A question is asked again when no whole answer came (a cut stream, a busy server, nonsense instead of JSON), and never when one did; every answer is
//! told once. The key comes from `FREEHOLD_API_KEY` and is in no message, log or file.

mod retry;
mod send;
mod wire;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::error::{EngineError, Result};
use crate::{
    Engine, Event, Finish, Generation, Identity, Message, Prompt, Request, Role, Score, ScoreRequest,
};
use retry::{Failure, Gate, backoff};
use send::Client;
use wire::{Ask, Heard, StreamOptions};

/// Where the key is looked for. No other variable is read: a key for one provider must not reach another.
pub const KEY_VARIABLE: &str = "FREEHOLD_API_KEY";

/// `http(s)://host[:port]/v1#model`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Without a slash at its end.
    pub base: String,
    pub model: Option<String>,
}

impl Address {
    /// The address in a MODEL argument; `None` when it is no URL but a name or a path.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return None;
        }
        let (base, model) = text.split_once('#').unwrap_or((text, ""));
        Some(Self {
            base: base.trim_end_matches('/').to_string(),
            model: Some(model.to_string()).filter(|m| !m.is_empty()),
        })
    }
}

/// How an endpoint is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests that are under way at once.
    pub concurrency: usize,
    /// Tries of one question.
    pub tries: usize,
    /// Longest silence, before the first byte and between bytes.
    pub silence: Duration,
    /// The first pause before another try; later ones are longer.
    pub pause: Duration,
    pub system: Option<String>,
    /// Whether a question that is asked alone comes as a stream. Streams of some servers, of llama-cpp-python for one, leave `usage` out.
    pub stream: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: 8,
            tries: 6,
            silence: Duration::from_secs(120),
            pause: Duration::from_secs(1),
            system: None,
            stream: true,
        }
    }
}

pub struct Endpoint {
    client: Client,
    identity: Identity,
    options: Options,
    model: String,
}

/// Questions whose greedy answers tell one model from another, as far as anything can from outside.
const FINGERPRINTS: [&str; 2] = ["Count from one to ten in words.", "請列出三種水果。"];

impl Endpoint {
    /// Looks up the model and asks the two questions of the fingerprint.
    ///
    /// # Errors
    /// When nobody answers there, the key is not accepted, or the model is not offered.
    pub fn connect(address: &Address, key: Option<String>, options: Options) -> Result<Self> {
        let client = Client::new(&address.base, key, &options)?;
        let mut it = Self {
            identity: Identity {
                model: String::new(),
                model_digest: String::new(),
                architecture: "endpoint".into(),
                adapter: None,
                adapter_digest: None,
                verifiable: false,
            },
            model: String::new(),
            client,
            options,
        };
        it.model = match &address.model {
            Some(model) => model.clone(),
            None => it.only_model()?,
        };
        it.identity.model = format!("{}#{}", address.base, it.model);
        let mut hash = Sha256::new();
        hash.update(&it.identity.model);
        for question in FINGERPRINTS {
            let prompt = Prompt::Chat(vec![Message::user(question)]);
            let request = Request { prompt, max_new_tokens: 16, sampling: crate::Sampling::GREEDY };
            let heard = it.patiently(|| it.ask(&request, false, &mut |_| {})).map_err(|f| it.fatal(f))?;
            // Part of the answer only: a server's arithmetic may differ in the last bit from day to day.
            let beginning: String = heard.text.trim().chars().take(12).collect();
            hash.update(format!("\n{:?}\n{beginning}", heard.system_fingerprint));
        }
        it.identity.model_digest = format!("endpoint-{:x}", hash.finalize());
        Ok(it)
    }

    fn fatal(&self, failure: Failure) -> EngineError {
        let reason = match failure {
            Failure::Passing { why, .. } => format!("{why} (after {} tries)", self.options.tries),
            Failure::Lasting(why) | Failure::Withheld(why) => why,
        };
        EngineError::Endpoint { url: self.client.base.clone(), reason }
    }

    /// The model that the server offers, when it is one.
    fn only_model(&self) -> Result<String> {
        let offered = self.patiently(|| self.client.models()).map_err(|f| self.fatal(f))?;
        match offered.as_slice() {
            [one] => Ok(one.clone()),
            many => {
                let names: Vec<&str> = many.iter().take(12).map(String::as_str).collect();
                Err(self.fatal(Failure::Lasting(format!(
                    "the server offers {} models ({}); name one: {}#MODEL",
                    many.len(),
                    names.join(", "),
                    self.client.base
                ))))
            }
        }
    }

    /// Tries until it succeeds, fails for good, or has been tried often enough.
    fn patiently<T>(&self, mut once: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        for attempt in 1.. {
            match once() {
                Err(Failure::Passing { pause, .. }) if attempt < self.options.tries => {
                    std::thread::sleep(
                        pause.unwrap_or_else(|| backoff(attempt, self.options.pause, chance())),
                    );
                }
                done => return done,
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// One question, once.
    fn ask(&self, request: &Request, live: bool, text: &mut dyn FnMut(&str)) -> Result<Heard, Failure> {
        let s = request.sampling;
        let mut body = Ask {
            model: &self.model,
            messages: None,
            prompt: None,
            max_tokens: request.max_new_tokens,
            temperature: s.temperature,
            seed: (s.temperature > 0.0).then_some(s.seed),
            stream: live,
            stream_options: live.then_some(StreamOptions { include_usage: true }),
            echo: None,
            logprobs: None,
        };
        match &request.prompt {
            Prompt::Chat(messages) => {
                body.messages = Some(messages);
                self.client.send("chat/completions", &body, text)
            }
            Prompt::Text(prompt) => {
                body.prompt = Some(prompt);
                self.client.send("completions", &body, text)
            }
            Prompt::Ids(_) => Err(Failure::Lasting("token ids mean nothing to another server".into())),
        }
    }

    /// The log-probability of one continuation, from the echo of the prompt with it.
    fn echo(&self, request: &ScoreRequest) -> Result<Score, Failure> {
        let prompt = match &request.prompt {
            Prompt::Text(text) => text.clone(),
            Prompt::Chat(messages) => {
                // The server's template cannot be had over this API: the conversation goes as plain text.
                messages.iter().map(|m| format!("{}\n\n", m.content)).collect()
            }
            Prompt::Ids(_) => {
                return Err(Failure::Lasting("token ids mean nothing to another server".into()));
            }
        };
        let whole = format!("{prompt}{}", request.continuation);
        let body = Ask {
            model: &self.model,
            messages: None,
            prompt: Some(&whole),
            // Some servers read 0 as "without end".
            max_tokens: 1,
            temperature: 0.0,
            seed: None,
            stream: false,
            stream_options: None,
            echo: Some(true),
            logprobs: Some(1),
        };
        let heard = self.client.send("completions", &body, &mut |_| {})?;
        let told = heard
            .logprobs
            .filter(|l| !l.token_logprobs.is_empty() && l.token_logprobs.len() == l.text_offset.len());
        let told =
            told.ok_or_else(|| Failure::Lasting("its completions bring no `logprobs` with `echo`".into()))?;
        let (from, to) = (prompt.chars().count(), whole.chars().count());
        let first = told.text_offset.first().copied().unwrap_or_default();
        // A token that spans the border counts as the continuation's; the one new token begins behind it.
        let mut score = Score { logprob: 0.0, tokens: 0 };
        let ends = told.text_offset.iter().skip(1).copied().chain([usize::MAX]);
        for ((&start, end), logprob) in told.text_offset.iter().zip(ends).zip(&told.token_logprobs) {
            let (start, end) = (start.saturating_sub(first), end.saturating_sub(first));
            if start < to && end > from {
                score.logprob += logprob.unwrap_or_default();
                score.tokens += 1;
            }
        }
        if !heard.text.trim_start().starts_with(prompt.trim()) || score.tokens == 0 {
            return Err(Failure::Lasting(
                "it does not echo the prompt, so nothing tells a given text's probability".into(),
            ));
        }
        Ok(score)
    }

    /// Runs `jobs` on as many threads as may ask at once; `each` gets what comes, on this thread, and may stop all.
    fn at_once<J: Sync, T: Send>(
        &self,
        jobs: &[J],
        work: impl Fn(&J, &mut dyn FnMut(&str)) -> Result<T, Failure> + Sync,
        each: &mut dyn FnMut(usize, Came<T>) -> ControlFlow<()>,
    ) -> Result<()> {
        let queue: Mutex<VecDeque<(usize, usize)>> = Mutex::new((0..jobs.len()).map(|i| (i, 1)).collect());
        let (stop, gate) = (AtomicBool::new(false), Gate::default());
        let (send, receive) = mpsc::channel();
        let (queue, stop, gate, work) = (&queue, &stop, &gate, &work);
        let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut lasting, mut lost, mut last) = (None, 0, String::new());
        std::thread::scope(|scope| {
            for _ in 0..self.options.concurrency.clamp(1, jobs.len().max(1)) {
                let send = send.clone();
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let Some((i, attempt)) = lock().pop_front() else { return };
                        if !pause(gate.left(), stop) {
                            return;
                        }
                        let mut piece = |text: &str| drop(send.send((i, Came::Text(text.to_string()))));
                        match work(&jobs[i], &mut piece) {
                            Err(Failure::Passing { pause: asked, .. }) if attempt < self.options.tries => {
                                if let Some(asked) = asked {
                                    gate.close_for(asked);
                                }
                                // This thread waits its turn out; the others go on.
                                let wait = backoff(attempt, self.options.pause, chance());
                                lock().push_back((i, attempt + 1));
                                if asked.is_none() && !pause(wait, stop) {
                                    return;
                                }
                            }
                            done => drop(send.send((i, Came::Done(done)))),
                        }
                    }
                });
            }
            drop(send);
            for (i, came) in &receive {
                let came = match came {
                    Came::Done(Err(Failure::Passing { why, .. })) => {
                        lost += 1;
                        last = why;
                        continue;
                    }
                    Came::Done(Err(Failure::Lasting(why))) => {
                        lasting.get_or_insert(why);
                        stop.store(true, Ordering::Relaxed);
                        continue;
                    }
                    came => came,
                };
                if each(i, came).is_break() {
                    stop.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        if let Some(why) = lasting {
            return Err(self.fatal(Failure::Lasting(why)));
        }
        if lost > 0 {
            return Err(EngineError::Unanswered {
                url: self.client.base.clone(),
                unanswered: lost,
                asked: jobs.len(),
                tries: self.options.tries,
                last,
            });
        }
        Ok(())
    }
}

enum Came<T> {
    Text(String),
    Done(Result<T, Failure>),
}

/// Sleeps, in short naps; false when it was told to stop.
fn pause(time: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + time;
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
    false
}

/// A number in 0..1 that differs between threads and moments.
fn chance() -> f64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    (random >> 11) as f64 / (1u64 << 53) as f64
}

fn generation(heard: Heard) -> Generation {
    let usage = heard.usage.unwrap_or_default();
    Generation {
        ids: Vec::new(),
        new_tokens: usage.completion_tokens,
        prompt_tokens: usage.prompt_tokens,
        text: heard.text,
        reasoning: heard.reasoning,
        finish: heard.finish.unwrap_or(Finish::Stop),
        logprob: None,
    }
}

impl Engine for Endpoint {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn prompt(&self, messages: &[Message]) -> Result<Prompt> {
        let own = messages.first().is_some_and(|m| m.role == Role::System);
        let system =
            self.options.system.iter().filter(|_| !own).map(|s| Message::new(Role::System, s.clone()));
        Ok(Prompt::Chat(system.chain(messages.iter().cloned()).collect()))
    }

    fn inserted_system_prompt(&self) -> Option<String> {
        None
    }

    fn generate(&self, requests: &[Request], on: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>) -> Result<()> {
        // A person watches one answer; many are waited for, and then a cut one can be asked again without a trace.
        let live = self.options.stream && requests.len() == 1;
        self.at_once(requests, |r, text| self.ask(r, live, text), &mut |i, came| match came {
            Came::Text(text) => on(Event::Text(i, &text)),
            Came::Done(Ok(heard)) => on(Event::Done(i, generation(heard))),
            Came::Done(Err(failure)) => {
                let text = match failure {
                    Failure::Withheld(why) | Failure::Lasting(why) | Failure::Passing { why, .. } => why,
                };
                on(Event::Done(
                    i,
                    Generation { finish: Finish::Filter, ..generation(Heard { text, ..Heard::default() }) },
                ))
            }
        })
    }

    fn score(&self, requests: &[ScoreRequest]) -> Result<Vec<Score>> {
        let mut scores = vec![None; requests.len()];
        let done = self.at_once(requests, |r, _| self.echo(r), &mut |i, came| {
            if let Came::Done(Ok(score)) = came {
                scores[i] = Some(score);
            }
            ControlFlow::Continue(())
        });
        let cannot = |reason: String| EngineError::CannotScore { url: self.client.base.clone(), reason };
        match done {
            Err(EngineError::Endpoint { reason, .. }) => return Err(cannot(reason)),
            other => other?,
        }
        scores
            .into_iter()
            .collect::<Option<Vec<Score>>>()
            .ok_or_else(|| cannot("it withheld an answer".into()))
    }

    fn about(&self) -> String {
        format!("{}: every question goes there, {} at once", self.identity.model, self.options.concurrency)
    }
}
