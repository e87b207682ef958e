//! What travels: the OpenAI chat-completions and completions formats, as their many servers speak them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Finish, Message};

/// Body of `/chat/completions` or `/completions`.
#[derive(Debug, Serialize)]
pub struct Ask<'a> {
    pub model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<&'a [Message]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<&'a str>,
    pub max_tokens: usize,
    pub temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<u32>,
}

#[derive(Debug, Serialize)]
pub struct StreamOptions {
    pub include_usage: bool,
}

/// A whole reply, or one event of a stream.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    #[serde(default)]
    pub choices: Vec<Choice>,
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub system_fingerprint: Option<String>,
    /// Some servers report errors in a reply of status 200.
    #[serde(default)]
    pub error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Choice {
    #[serde(default)]
    pub message: Option<Said>,
    #[serde(default)]
    pub delta: Option<Said>,
    /// Completions.
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub finish_reason: Option<String>,
    #[serde(default)]
    pub logprobs: Option<Logprobs>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Said {
    #[serde(default)]
    pub content: Option<String>,
    /// DeepSeek's name for it, and vLLM's and SGLang's after it; OpenRouter, and newer vLLM, say `reasoning`.
    #[serde(default)]
    pub reasoning_content: Option<String>,
    #[serde(default)]
    pub reasoning: Option<Value>,
    /// OpenAI's own word for a declined answer.
    #[serde(default)]
    pub refusal: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Logprobs {
    #[serde(default)]
    pub token_logprobs: Vec<Option<f64>>,
    #[serde(default)]
    pub text_offset: Vec<usize>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: usize,
    #[serde(default)]
    pub completion_tokens: usize,
}

/// What a request has brought so far.
#[derive(Debug, Default)]
pub struct Heard {
    pub text: String,
    pub reasoning: String,
    pub finish: Option<Finish>,
    pub usage: Option<Usage>,
    pub system_fingerprint: Option<String>,
    pub logprobs: Option<Logprobs>,
}

impl Heard {
    /// Takes in a reply or an event; returns the new text of the answer.
    ///
    /// # Errors
    /// The error that the server put into it.
    pub fn take(&mut self, told: Told) -> Result<String, String> {
        if let Some(e) = told.error {
            return Err(error_text(&e));
        }
        if told.system_fingerprint.is_some() {
            self.system_fingerprint = told.system_fingerprint;
        }
        self.usage = told.usage.or(self.usage);
        let Some(choice) = told.choices.into_iter().next() else { return Ok(String::new()) };
        let mut new = choice.text.unwrap_or_default();
        if let Some(said) = choice.message.or(choice.delta) {
            new.push_str(&said.content.or(said.refusal).unwrap_or_default());
            let reasoning = said.reasoning_content.or_else(|| Some(said.reasoning?.as_str()?.to_string()));
            self.reasoning.push_str(&reasoning.unwrap_or_default());
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(match reason.as_str() {
                "length" | "max_tokens" => Finish::Length,
                "content_filter" | "sensitive" => Finish::Filter,
                _ => Finish::Stop,
            });
        }
        self.logprobs = choice.logprobs.or_else(|| self.logprobs.take());
        self.text.push_str(&new);
        Ok(new)
    }
}

/// The words of an error in any of the usual shapes: `{"message": …}`, `{"error": {"message": …}}`, `{"detail": …}`, text.
pub fn error_text(value: &Value) -> String {
    let inner = value.get("error").unwrap_or(value);
    let words = inner.get("message").or_else(|| inner.get("detail")).unwrap_or(inner);
    let words = words.as_str().map_or_else(|| words.to_string(), str::to_string);
    words.chars().take(300).collect()
}

/// True when the words of a 4xx error say that the question itself was held back: what a hosted model's operator does with a subject is part
/// of what an audit is about.
pub fn withheld(words: &str) -> bool {
    let words = words.to_lowercase();
    [
        "content exists risk",
        "content_filter",
        "content filter",
        "content management policy",
        "data_inspection",
        "inappropriate content",
        "敏感",
        "违规",
        "不合规",
    ]
    .iter()
    .any(|w| words.contains(w))
}

/// Server-sent events as they come in pieces: calls back with the data of every whole event (WHATWG HTML, § 9.2.6).
#[derive(Default)]
pub struct Events {
    line: Vec<u8>,
    data: String,
}

/// A line longer than this is no event of an answer.
const LONGEST_LINE: usize = 4 << 20;

impl Events {
    /// # Errors
    /// A line that is too long or no UTF-8.
    pub fn push(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(&str) -> Result<(), String>,
    ) -> Result<(), String> {
        for &b in bytes {
            if b != b'\n' {
                if self.line.len() >= LONGEST_LINE {
                    return Err("a line of the stream is longer than 4 MiB".into());
                }
                self.line.push(b);
                continue;
            }
            let line = std::str::from_utf8(&self.line).map_err(|_| "the stream is no UTF-8".to_string())?;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                if !self.data.is_empty() {
                    each(&self.data)?;
                    self.data.clear();
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
            self.line.clear();
        }
        Ok(())
    }

    /// The event that the stream ended in, where the last empty line is missing.
    pub fn end(&mut self, each: impl FnMut(&str) -> Result<(), String>) -> Result<(), String> {
        self.push(b"\n\n", each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let (mut e, mut out) = (Events::default(), Vec::new());
        for p in pieces {
            e.push(p, |d| {
                out.push(d.to_string());
                Ok(())
            })
            .expect("good events");
        }
        out
    }

    #[test]
    fn events_are_told_whole_wherever_they_are_cut() {
        let text =
            ": a comment\r\ndata: {\"a\":\"臺灣\"}\r\n\r\ndata: one\ndata: two\n\nid: 3\ndata:[DONE]\n\n"
                .as_bytes();
        let want = ["{\"a\":\"臺灣\"}", "one\ntwo", "[DONE]"];
        for cut in 0..text.len() {
            assert_eq!(events(&[&text[..cut], &text[cut..]]), want, "cut at {cut}");
        }
    }

    #[test]
    fn reasoning_comes_under_three_names_and_filters_are_seen() {
        for (json, reasoning, finish) in [
            (
                r#"{"choices":[{"message":{"content":"x","reasoning_content":"because"},"finish_reason":"stop"}]}"#,
                "because",
                Finish::Stop,
            ),
            (
                r#"{"choices":[{"message":{"content":"x","reasoning":"because"},"finish_reason":"length"}]}"#,
                "because",
                Finish::Length,
            ),
            (
                r#"{"choices":[{"message":{"refusal":"x"},"finish_reason":"content_filter"}]}"#,
                "",
                Finish::Filter,
            ),
        ] {
            let mut heard = Heard::default();
            assert_eq!(heard.take(serde_json::from_str(json).expect("a reply")), Ok("x".into()));
            assert_eq!((heard.reasoning.as_str(), heard.finish), (reasoning, Some(finish)));
        }
        assert!(withheld("Content Exists Risk") && !withheld("the context is exceeded"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_error_or_events_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut e = Events::default();
            let mut heard = Heard::default();
            let _ = e.push(&bytes, |d| match serde_json::from_str::<Told>(d) {
                Ok(t) => heard.take(t).map(|_| ()),
                Err(e) => Err(e.to_string()),
            });
        }
    }
}
