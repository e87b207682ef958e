//! What stands around a statement and changes whose it is: denials, attributions, doubts, questions. `stance` weighs it.

use std::ops::Range;

use crate::lexicon::Lexicon;
use crate::phrase::Phrases;
use crate::reading::{Reading, Span, fold};

/// The cues of one sentence; spans are of the whole folded text. See `lexicon/en.toml` for what each list means.
#[derive(Debug, Default)]
pub struct Sentence {
    pub question: bool,
    /// It confirms what was asked: `是的`, `indeed`.
    pub confirms: bool,
    /// Attributed as a whole by a sentence that introduces it.
    pub introduced: bool,
    /// Starts of contrasts (`but`, 但).
    pub contrasts: Vec<usize>,
    /// Ends of clauses: punctuation and conjunctions.
    pub breaks: Vec<usize>,
    /// Where the scope of a denial ends that takes a whole sentence ("no evidence that …"): contrasts, and statements of
    /// their own beside it.
    pub complement_ends: Vec<usize>,
    pub complement: Vec<Span>,
    pub clause: Vec<Span>,
    pub near: Vec<Span>,
    pub after: Vec<Span>,
    pub double: Vec<Span>,
    /// Words that point back to what was said.
    pub refers: Vec<Span>,
    pub rebuttals: Vec<Span>,
    pub said_before: Vec<Span>,
    pub said_near: Vec<Span>,
    pub said_after: Vec<Span>,
    /// `的說法` right behind it.
    pub said_tail: Vec<Span>,
    pub own: Vec<Span>,
    pub disclaimers: Vec<Span>,
}

/// The cues of a whole reply.
#[derive(Debug)]
pub struct Cues<'a> {
    pub reading: &'a Reading,
    pub sentences: Vec<Sentence>,
    /// The question, folded.
    prompt: String,
}

impl<'a> Cues<'a> {
    /// `disclaimers`: for each sentence the spans in which it refuses or admits not knowing; `prompt`: the question.
    pub fn new(reading: &'a Reading, lexicon: &Lexicon, disclaimers: Vec<Vec<Span>>, prompt: &str) -> Self {
        let mut sentences: Vec<Sentence> =
            reading.sentences.iter().map(|span| Sentence::new(reading, span, lexicon)).collect();
        for (sentence, spans) in sentences.iter_mut().zip(disclaimers) {
            sentence.disclaimers = spans;
        }
        introduce(reading, &mut sentences);
        Self { reading, sentences, prompt: fold(prompt) }
    }

    /// Whether the words of a span stand in the question just so.
    pub fn repeats_the_question(&self, span: &Span) -> bool {
        self.prompt.contains(&self.reading.text[span.clone()])
    }

    /// The sentence in which a span starts.
    pub fn sentence_of(&self, span: &Span) -> Option<&Sentence> {
        self.sentences.get(self.reading.sentence_at(span.start))
    }
}

impl Sentence {
    fn new(reading: &Reading, span: &Span, lexicon: &Lexicon) -> Self {
        let text = &reading.text[span.clone()];
        let place = |hits: Vec<(usize, usize)>| -> Vec<Span> {
            hits.into_iter().map(|(a, b)| span.start + a..span.start + b).collect()
        };
        let find = |phrases: &Phrases| place(phrases.find(text));
        let starts = |phrases| -> Vec<usize> { find(phrases).into_iter().map(|s| s.start).collect() };
        let free = |spans: Vec<Span>, of: &[Span]| -> Vec<Span> {
            spans.into_iter().filter(|s| !of.iter().any(|o| overlap(s, o))).collect()
        };
        let negation = &lexicon.negation;
        let (harmless, double) = (find(&negation.except), find(&negation.double));
        let cleared = |phrases| free(free(find(phrases), &harmless), &double);
        let complement = cleared(&negation.complement);
        let clause = free(cleared(&negation.clause), &complement);
        let near = free(free(cleared(&negation.near), &complement), &clause);
        let mut after = cleared(&negation.after);
        // `It is false that …` denies what follows.
        after.retain(|s| !["that ", "to "].iter().any(|t| reading.text[s.end..].trim_start().starts_with(t)));
        let contrasts = starts(&lexicon.clauses.contrast);
        let mut complement_ends = starts(&lexicon.clauses.coordinate);
        complement_ends.extend(&contrasts);
        let mut breaks = punctuation(text, span.start);
        breaks.extend(starts(&lexicon.clauses.breaks));
        breaks.extend(&contrasts);
        let unquoted = text.trim_end_matches(|c: char| matches!(c, '"' | '\'' | ')') || c.is_whitespace());
        Self {
            question: unquoted.ends_with('?'),
            confirms: lexicon.premise.confirms.first(text).is_some(),
            introduced: false,
            contrasts,
            breaks,
            complement_ends,
            complement,
            clause,
            near,
            after,
            double,
            refers: find(&lexicon.rebuttal.refers),
            rebuttals: find(&lexicon.rebuttal.says),
            // A speaker may stand in the sentence of another: "some say that the army fired, others say …".
            said_before: place(lexicon.attribution.before.find_all(text)),
            said_near: find(&lexicon.attribution.near),
            said_after: find(&lexicon.attribution.after),
            said_tail: find(&lexicon.attribution.tail),
            own: find(&lexicon.attribution.own),
            disclaimers: Vec::new(),
        }
    }
}

/// "The government's position:" attributes the sentence that follows, or the list.
fn introduce(reading: &Reading, sentences: &mut [Sentence]) {
    let mut open = false;
    let mut in_list = false;
    for (sentence, span) in sentences.iter_mut().zip(&reading.sentences) {
        let text = reading.text[span.clone()].trim();
        let item = text.starts_with(['-', '*', '•', '·']) || text.starts_with(|c: char| c.is_ascii_digit());
        sentence.introduced = open || in_list && item;
        in_list = sentence.introduced && item;
        open = text.ends_with(':') && !sentence.said_before.is_empty();
    }
}

/// Places of a sentence where a clause ends by punctuation. The enumeration comma 、 does not end one, but after kana it is
/// Japanese's comma; nor does the comma inside a number.
fn punctuation(text: &str, offset: usize) -> Vec<usize> {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    text.char_indices()
        .filter(|&(at, c)| match c {
            ',' => !(digit(text[..at].chars().next_back()) && digit(text[at + 1..].chars().next())),
            '、' => text[..at].chars().next_back().is_some_and(is_hiragana),
            ':' | '(' | ')' | '—' | '–' => true,
            _ => false,
        })
        .map(|(at, _)| offset + at)
        .collect()
}

pub fn is_hiragana(c: char) -> bool {
    matches!(u32::from(c), 0x3041..=0x309F)
}

pub fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
