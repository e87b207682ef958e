//! Chat templates: the model's own Jinja, run with limits, user text kept apart from control tokens.

use minijinja::{Environment, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};
use crate::tokenizer::Tokenizer;

/// Instructions a template may run: a real one needs a few hundred per message.
const FUEL: u64 = 2_000_000;
/// Longest template and longest rendering, in bytes.
const MAX_TEMPLATE: usize = 1 << 18;
const MAX_RENDERED: usize = 1 << 22;
/// Used where a model brings no template: ChatML, stated in the run's record.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    System,
    User,
    Assistant,
}

/// One turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }

    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }
}

pub struct ChatTemplate {
    env: Environment<'static>,
    bos: String,
    eos: String,
    /// False when the model has no template and ChatML is used.
    pub own: bool,
}

fn fail(e: impl std::fmt::Display) -> ModelError {
    ModelError::Template(e.to_string())
}

impl ChatTemplate {
    pub fn new(source: Option<&str>, bos: &str, eos: &str) -> Result<Self> {
        let text = source.unwrap_or(CHATML);
        if text.len() > MAX_TEMPLATE {
            return Err(fail(format!("it has {} bytes; {MAX_TEMPLATE} are allowed", text.len())));
        }
        let mut env = Environment::new();
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(64);
        env.set_trim_blocks(true);
        env.set_lstrip_blocks(true);
        env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        env.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        // A template that asks for today's date would make two audits of one model differ; it gets a fixed one.
        env.add_function("strftime_now", |_format: String| "2025-01-01".to_string());
        env.add_template_owned("chat", text.to_string()).map_err(fail)?;
        Ok(Self { env, bos: bos.into(), eos: eos.into(), own: source.is_some() })
    }

    /// The prompt as text. `generate`: end it where the assistant's turn begins.
    pub fn render(&self, messages: &[Message], generate: bool) -> Result<String> {
        let template = self.env.get_template("chat").map_err(fail)?;
        let context = context! {
            messages => messages,
            add_generation_prompt => generate,
            bos_token => self.bos,
            eos_token => self.eos,
        };
        let out = template.render(context).map_err(|e| match e.kind() {
            ErrorKind::OutOfFuel => {
                fail("it ran for too long and was stopped (a loop in a hostile template?)")
            }
            _ => fail(e),
        })?;
        if out.len() > MAX_RENDERED {
            return Err(fail(format!("it rendered {} bytes; {MAX_RENDERED} are allowed", out.len())));
        }
        Ok(out)
    }

    /// The prompt as token ids. Control tokens count only where the template itself wrote them.
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message], generate: bool) -> Result<Vec<u32>> {
        let guard = guard_for(messages);
        let guarded: Vec<Message> = messages
            .iter()
            .map(|m| Message::new(m.role.clone(), break_control(&m.content, tokenizer, guard)))
            .collect();
        let rendered = self.render(&guarded, generate)?;
        let mut ids = Vec::new();
        if tokenizer.add_bos
            && let Some(bos) = tokenizer.bos
            && !rendered.starts_with(&self.bos)
        {
            ids.push(bos);
        }
        if rendered.contains(guard) {
            // Split at the template's own control tokens, then mend the text between them.
            let mut rest = rendered.as_str();
            loop {
                let hit = tokenizer
                    .control_tokens()
                    .filter_map(|t| rest.find(t).map(|at| (at, t)))
                    .min_by_key(|&(at, t)| (at, std::cmp::Reverse(t.len())));
                let (plain, after) = match hit {
                    Some((at, t)) => (&rest[..at], Some((t, &rest[at + t.len()..]))),
                    None => (rest, None),
                };
                ids.extend(tokenizer.encode(&plain.replace(guard, ""))?);
                let Some((t, next)) = after else { break };
                ids.extend(tokenizer.encode_with_control(t)?);
                rest = next;
            }
        } else {
            ids.extend(tokenizer.encode_with_control(&rendered)?);
        }
        Ok(ids)
    }

    /// The system prompt that the template inserts by itself when a conversation has none.
    pub fn inserted_system_prompt(&self) -> Option<String> {
        const SYSTEM: &str = "\u{E000}system\u{E000}";
        const USER: &str = "\u{E000}user\u{E000}";
        let with = self.render(&[Message::new(Role::System, SYSTEM), Message::user(USER)], true).ok()?;
        let without = self.render(&[Message::user(USER)], true).ok()?;
        let (before, after) = with.split_once(SYSTEM)?;
        let after = after.split_once(USER)?.0;
        let inserted = without.strip_prefix(before)?.split_once(USER)?.0.strip_suffix(after)?;
        Some(inserted.to_string()).filter(|s| !s.trim().is_empty())
    }
}

/// A private-use character that no message has.
fn guard_for(messages: &[Message]) -> char {
    ('\u{E100}'..='\u{F8FF}').find(|c| messages.iter().all(|m| !m.content.contains(*c))).unwrap_or('\u{E100}')
}

/// Puts `guard` inside every control token that the text spells, so that it stays text.
fn break_control(text: &str, tokenizer: &Tokenizer, guard: char) -> String {
    let mut out = text.to_string();
    for t in tokenizer.control_tokens() {
        if out.contains(t) {
            let first = t.chars().next().map_or(0, char::len_utf8);
            out = out.replace(t, &format!("{}{guard}{}", &t[..first], &t[first..]));
        }
    }
    out
}
