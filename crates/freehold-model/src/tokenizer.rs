//! Byte-level BPE from GGUF metadata.
//!
//! The merging itself is the `tokenizers` library's; this module sets it up as the model's pre-tokenizer demands and keeps
//! control tokens apart from text, so that nothing a user types can act as one.

use std::collections::HashMap;

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer as Bpe};

use crate::error::{ModelError, Result};
use crate::gguf::Value;
use crate::weights::Weights;

/// Qwen2's pattern (also DeepSeek-R1-Distill-Qwen's): `tokenizer.json` of `Qwen/Qwen2.5-0.5B`.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A model's vocabulary and how text becomes token ids.
pub struct Tokenizer {
    bpe: Bpe,
    /// Bytes of each token.
    bytes: Vec<Vec<u8>>,
    control: Vec<bool>,
    /// Control tokens as they are written, longest first.
    control_text: Vec<(String, u32)>,
    /// User-defined tokens (not control): matched in any text.
    added_text: Vec<(String, u32)>,
    pub bos: Option<u32>,
    pub add_bos: bool,
    /// Tokens that end a reply.
    pub stops: Vec<u32>,
}

/// GPT-2's reversible map from bytes to printable characters.
fn byte_characters() -> [char; 256] {
    let mut map = ['\0'; 256];
    let mut next = 256u32;
    for b in 0..=255u8 {
        let printable = matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        map[b as usize] = if printable {
            b as char
        } else {
            let c = char::from_u32(next).unwrap_or('\0');
            next += 1;
            c
        };
    }
    map
}

fn fail(e: impl std::fmt::Display) -> ModelError {
    ModelError::Tokenizer(e.to_string())
}

impl Tokenizer {
    pub fn from_weights(w: &Weights, vocab_size: usize) -> Result<Self> {
        let get = |key: &str| w.metadata.get(key);
        let text = |key: &str| get(key).and_then(Value::as_str);
        let array = |key: &str| -> Result<&[Value]> {
            get(key).and_then(Value::as_array).ok_or_else(|| w.metadata_error(key, "is missing or no array"))
        };
        match text("tokenizer.ggml.model") {
            Some("gpt2") => {}
            other => {
                let reason = format!("is {other:?}; only byte-level BPE (\"gpt2\") is supported yet");
                return Err(w.metadata_error("tokenizer.ggml.model", reason));
            }
        }
        let tokens = array("tokenizer.ggml.tokens")?;
        if tokens.len() != vocab_size {
            let reason =
                format!("has {} tokens, but the embedding table has {vocab_size} rows", tokens.len());
            return Err(w.metadata_error("tokenizer.ggml.tokens", reason));
        }
        let types: Vec<u64> = match get("tokenizer.ggml.token_type").and_then(Value::as_array) {
            Some(t) if t.len() == tokens.len() => t.iter().map(|v| v.as_u64().unwrap_or(1)).collect(),
            Some(_) => {
                return Err(
                    w.metadata_error("tokenizer.ggml.token_type", "has another length than the tokens")
                );
            }
            None => vec![1; tokens.len()],
        };
        let from_char: HashMap<char, u8> =
            byte_characters().iter().enumerate().map(|(b, &c)| (c, b as u8)).collect();

        let mut vocab = tokenizers::models::bpe::Vocab::default();
        let mut bytes = Vec::with_capacity(tokens.len());
        let (mut control_text, mut added_text) = (Vec::new(), Vec::new());
        for (id, token) in tokens.iter().enumerate() {
            let t = token
                .as_str()
                .ok_or_else(|| w.metadata_error("tokenizer.ggml.tokens", "has an entry that is no text"))?;
            let id = id as u32;
            match types[id as usize] {
                3 if !t.is_empty() => control_text.push((t.to_string(), id)),
                4 if !t.is_empty() => added_text.push((t.to_string(), id)),
                _ => {}
            }
            if types[id as usize] == 1 {
                // Unused padding entries may repeat; the first one keeps the name.
                vocab.entry(t.to_string()).or_insert(id);
                bytes.push(
                    t.chars()
                        .flat_map(|c| {
                            from_char.get(&c).map(|b| vec![*b]).unwrap_or_else(|| c.to_string().into_bytes())
                        })
                        .collect(),
                );
            } else {
                bytes.push(t.as_bytes().to_vec());
            }
        }
        let longest_first = |v: &mut Vec<(String, u32)>| v.sort_by_key(|(t, _)| std::cmp::Reverse(t.len()));
        longest_first(&mut control_text);
        longest_first(&mut added_text);

        let mut merges = Vec::new();
        for m in array("tokenizer.ggml.merges")? {
            let pair = m.as_str().and_then(|m| m.split_once(' '));
            let (a, b) = pair
                .ok_or_else(|| w.metadata_error("tokenizer.ggml.merges", "has an entry that is no pair"))?;
            if !vocab.contains_key(a) || !vocab.contains_key(b) || !vocab.contains_key(&format!("{a}{b}")) {
                return Err(w.metadata_error(
                    "tokenizer.ggml.merges",
                    format!("merges {a:?} and {b:?}, which are no tokens"),
                ));
            }
            merges.push((a.to_string(), b.to_string()));
        }
        let model = BPE::builder().vocab_and_merges(vocab, merges).build().map_err(fail)?;
        let mut bpe = Bpe::new(model);
        let byte_level = |regex| PreTokenizerWrapper::from(ByteLevel::new(false, true, regex));
        let pre: Vec<PreTokenizerWrapper> = match text("tokenizer.ggml.pre") {
            Some("qwen2" | "deepseek-r1-qwen") => {
                let pattern = SplitPattern::Regex(QWEN2.into());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false).map_err(fail)?;
                bpe.with_normalizer(Some(NFC)).map_err(fail)?;
                vec![split.into(), byte_level(false)]
            }
            Some("smollm") => vec![Digits::new(true).into(), byte_level(true)],
            other => {
                let reason = format!("is {other:?}; qwen2, smollm and deepseek-r1-qwen are supported yet");
                return Err(w.metadata_error("tokenizer.ggml.pre", reason));
            }
        };
        bpe.with_pre_tokenizer(Some(Sequence::new(pre)));

        let id_of = |key: &str| -> Result<Option<u32>> {
            match get(key).map(|v| v.as_u64()) {
                None => Ok(None),
                Some(Some(id)) if (id as usize) < vocab_size => Ok(Some(id as u32)),
                Some(_) => Err(w.metadata_error(key, "is no token id of this vocabulary")),
            }
        };
        let bos = id_of("tokenizer.ggml.bos_token_id")?;
        let mut stops: Vec<u32> = id_of("tokenizer.ggml.eos_token_id")?.into_iter().collect();
        stops.extend(id_of("tokenizer.ggml.eot_token_id")?);
        // Base models fine-tuned to chat end a turn with one of these whatever their metadata calls "eos".
        for name in ["<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<｜end▁of▁sentence｜>", "<end_of_turn>"]
        {
            stops.extend(control_text.iter().find(|(t, _)| t == name).map(|(_, id)| *id));
        }
        stops.sort_unstable();
        stops.dedup();
        let add_bos = get("tokenizer.ggml.add_bos_token").and_then(Value::as_bool).unwrap_or(false);
        let control = types.iter().map(|&t| t == 3).collect();
        Ok(Self { bpe, bytes, control, control_text, added_text, bos, add_bos, stops })
    }

    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// Token ids of plain text: nothing in it is a control token.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        self.split_encode(text, &self.added_text, &mut ids)?;
        Ok(ids)
    }

    /// Token ids of a text in which control tokens count as such (a rendered template, a raw completion prompt).
    pub fn encode_with_control(&self, text: &str) -> Result<Vec<u32>> {
        let mut marks = self.control_text.clone();
        marks.extend(self.added_text.iter().cloned());
        marks.sort_by_key(|(t, _)| std::cmp::Reverse(t.len()));
        let mut ids = Vec::new();
        self.split_encode(text, &marks, &mut ids)?;
        Ok(ids)
    }

    fn split_encode(&self, text: &str, marks: &[(String, u32)], ids: &mut Vec<u32>) -> Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            // The leftmost mark, and of those that begin there the longest (marks are sorted so).
            let hit = marks
                .iter()
                .filter_map(|(t, id)| rest.find(t.as_str()).map(|at| (at, t, *id)))
                .min_by_key(|h| h.0);
            let (plain, mark) = match hit {
                Some((at, t, id)) => (&rest[..at], Some((at + t.len(), id))),
                None => (rest, None),
            };
            if !plain.is_empty() {
                ids.extend(self.bpe.encode_fast(plain, false).map_err(fail)?.get_ids());
            }
            match mark {
                Some((end, id)) => {
                    ids.push(id);
                    rest = &rest[end..];
                }
                None => break,
            }
        }
        Ok(())
    }

    /// Control tokens as they are written.
    pub fn control_tokens(&self) -> impl Iterator<Item = &str> {
        self.control_text.iter().map(|(t, _)| t.as_str())
    }

    pub fn is_control(&self, id: u32) -> bool {
        self.control.get(id as usize).copied().unwrap_or(true)
    }

    /// Bytes of one token; none for control tokens and ids outside the vocabulary.
    pub fn token_bytes(&self, id: u32) -> &[u8] {
        if self.is_control(id) { &[] } else { &self.bytes[id as usize] }
    }

    /// Text of token ids, control tokens left out, broken UTF-8 replaced.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.token_bytes(id).iter().copied()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Turns a stream of token ids into text, holding back the bytes of a character until it is whole.
#[derive(Default)]
pub struct TextStream {
    pending: Vec<u8>,
}

impl TextStream {
    /// The text that `id` completes, often empty for a part of a Chinese character.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        self.pending.extend_from_slice(tokenizer.token_bytes(id));
        let mut out = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(s) => {
                    out.push_str(s);
                    self.pending.clear();
                    return out;
                }
                Err(e) => {
                    let valid = e.valid_up_to();
                    out.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    let Some(bad) = e.error_len() else {
                        self.pending.drain(..valid);
                        return out;
                    };
                    out.push('\u{FFFD}');
                    self.pending.drain(..valid + bad);
                }
            }
        }
    }
}
