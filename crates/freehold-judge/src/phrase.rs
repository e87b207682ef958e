//! Phrases: the small pattern language of the lexicons, chosen so that a person without programming can extend them.
//!
//! | written | means |
//! |---|---|
//! | `(a\|b\|)` | any of these; an empty one makes the group optional |
//! | `…` | anything, as long as it stays short and within the sentence |
//! | `word*` | the word and whatever letters follow |
//! | a space | the end of a word, and a space where there is one |
//! | `^` `$` | the start, the end of the sentence |
//!
//! Everything else is literal, after the same folding as the text ([`fold`]). Latin words match whole words only.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;
use std::str::Chars;

use unicode_normalization::char::is_combining_mark;

use crate::reading::{fold, is_cjk};

/// Longest gap that `…` bridges, in characters. A Chinese character says more than a letter.
const GAP_LATIN: usize = 40;
const GAP_CJK: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Literal(String),
    Space,
    /// The longest gap, in characters.
    Gap(usize),
    Letters,
    Start,
    End,
    Group(Vec<Vec<Node>>),
}

/// A list of phrases, ready to be looked for.
#[derive(Debug, Clone, Default)]
pub struct Phrases {
    phrases: Vec<Vec<Node>>,
    /// Which phrases can start with a character: most places of a text are ruled out by it.
    by_first: HashMap<char, Vec<usize>>,
}

impl Phrases {
    /// Compiles `sources`; the error names the phrase at fault.
    pub fn compile<'a>(sources: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut out = Self::default();
        for source in sources {
            let (phrase, first) = parse(source).map_err(|e| format!("phrase {source:?}: {e}"))?;
            for c in first {
                out.by_first.entry(c).or_default().push(out.phrases.len());
            }
            out.phrases.push(phrase);
        }
        Ok(out)
    }

    /// Every hit in `text` (folded; a sentence), sorted, without those that lie inside a longer one.
    pub fn find(&self, text: &str) -> Vec<(usize, usize)> {
        let mut hits = Vec::new();
        let mut reach = 0;
        for (at, c) in text.char_indices() {
            if let Some(end) = self.at(text, at, c).filter(|&end| end > reach) {
                hits.push((at, end));
                reach = end;
            }
        }
        hits
    }

    /// Every hit, those inside longer ones included; the longest from each place.
    pub fn find_all(&self, text: &str) -> Vec<(usize, usize)> {
        text.char_indices().filter_map(|(at, c)| self.at(text, at, c).map(|end| (at, end))).collect()
    }

    /// The first hit in the order of the text.
    pub fn first(&self, text: &str) -> Option<(usize, usize)> {
        text.char_indices().find_map(|(at, c)| self.at(text, at, c).map(|end| (at, end)))
    }

    /// The end of the longest hit that starts at `at`.
    fn at(&self, text: &str, at: usize, c: char) -> Option<usize> {
        let candidates = self.by_first.get(&c)?;
        if !starts_word(text, at) {
            return None;
        }
        candidates
            .iter()
            .filter_map(|&i| self.phrases.get(i))
            .filter_map(|nodes| run(nodes, text, at, &|end| ends_word(text, end).then_some(end)))
            .filter(|&end| end > at)
            .max()
    }
}

/// Matches `nodes` at `at` and hands the end to `then`; the furthest end that `then` accepts.
fn run(nodes: &[Node], text: &str, at: usize, then: &dyn Fn(usize) -> Option<usize>) -> Option<usize> {
    let Some((node, rest)) = nodes.split_first() else { return then(at) };
    let left = text.get(at..)?;
    match node {
        Node::Literal(literal) if left.starts_with(literal.as_str()) => {
            run(rest, text, at + literal.len(), then)
        }
        Node::Literal(_) => None,
        Node::Space if left.starts_with(' ') => run(rest, text, at + 1, then),
        Node::Space => {
            if starts_word(text, at) {
                run(rest, text, at, then)
            } else {
                None
            }
        }
        Node::Letters => {
            let letters = left.chars().take_while(|&c| wordish(c) || c == '\'');
            run(rest, text, at + letters.map(char::len_utf8).sum::<usize>(), then)
        }
        Node::Gap(longest) if ends_word(text, at) => left
            .char_indices()
            .take(longest + 1)
            .map(|(offset, _)| at + offset)
            .filter(|&next| starts_word(text, next))
            .find_map(|next| run(rest, text, next, then)),
        Node::Gap(_) => None,
        // Marks do not count: `- "No,` starts with `No`, and a full stop stands at the end.
        Node::Start if text[..at].contains(char::is_alphanumeric) => None,
        Node::End if left.contains(char::is_alphanumeric) => None,
        Node::Start | Node::End => run(rest, text, at, then),
        Node::Group(choices) => {
            let rest = |end| run(rest, text, end, then);
            choices.iter().filter_map(|choice| run(choice, text, at, &rest)).max()
        }
    }
}

/// A character of a word that is written with spaces around it.
pub fn wordish(c: char) -> bool {
    // Marks belong to the letter before them: a virama joins two consonants of a Hindi word.
    (c.is_alphanumeric() || is_combining_mark(c)) && !is_cjk(c)
}

/// Whether a match that starts at `at` does not start inside a word.
pub fn starts_word(text: &str, at: usize) -> bool {
    let after = text[at..].chars().next();
    let before = text[..at].chars().next_back();
    !(after.is_some_and(wordish) && before.is_some_and(wordish))
}

/// Whether a match that ends at `at` does not end inside a word. `China` ends before the `'s` of `China's`, but `can`
/// does not end before the `'t` of `can't`.
pub fn ends_word(text: &str, at: usize) -> bool {
    if !text[..at].chars().next_back().is_some_and(wordish) {
        return true;
    }
    let mut after = text[at..].chars();
    match after.next() {
        Some('\'') => match after.next() {
            Some('s') => !after.next().is_some_and(wordish),
            c => !c.is_some_and(wordish),
        },
        c => !c.is_some_and(wordish),
    }
}

/// The phrase, and the characters it can start with.
fn parse(source: &str) -> Result<(Vec<Node>, BTreeSet<char>), String> {
    let body = source.trim();
    let gap = if body.chars().any(is_cjk) { GAP_CJK } else { GAP_LATIN };
    let mut chars = body.chars().peekable();
    let nodes = sequence(&mut chars, gap, false)?;
    if chars.next().is_some() {
        return Err("`)` without `(`".into());
    }
    let mut first = BTreeSet::new();
    if firsts(&nodes, &mut first)? {
        return Err("it can match nothing at all".into());
    }
    Ok((nodes, first))
}

fn sequence(chars: &mut Peekable<Chars<'_>>, gap: usize, inner: bool) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    let mut literal = String::new();
    while let Some(&c) = chars.peek() {
        if matches!(c, ')' | '|') {
            if inner || c == ')' {
                break;
            }
            return Err("`|` outside a group".into());
        }
        chars.next();
        let node = match c {
            '(' => Some(group(chars, gap)?),
            '…' => Some(Node::Gap(gap)),
            '*' => Some(Node::Letters),
            '^' => Some(Node::Start),
            '$' => Some(Node::End),
            ' ' => Some(Node::Space),
            _ => None,
        };
        match node {
            Some(node) => {
                close(&mut literal, &mut nodes);
                nodes.push(node);
            }
            None => literal.push(c),
        }
    }
    close(&mut literal, &mut nodes);
    // `a … b` and `a… b` mean the same.
    nodes.dedup_by(|b, a| *a == Node::Space && *b == Node::Space);
    Ok(nodes)
}

fn close(literal: &mut String, nodes: &mut Vec<Node>) {
    if !literal.is_empty() {
        nodes.push(Node::Literal(fold(literal)));
        literal.clear();
    }
}

fn group(chars: &mut Peekable<Chars<'_>>, gap: usize) -> Result<Node, String> {
    let mut choices = Vec::new();
    loop {
        choices.push(sequence(chars, gap, true)?);
        match chars.next() {
            Some('|') => {}
            Some(')') => return Ok(Node::Group(choices)),
            _ => return Err("`(` without `)`".into()),
        }
    }
}

/// Collects the characters that `nodes` can start with; true when they can also match the empty text.
fn firsts(nodes: &[Node], out: &mut BTreeSet<char>) -> Result<bool, String> {
    for node in nodes {
        match node {
            Node::Literal(literal) => {
                out.extend(literal.chars().next());
                return Ok(false);
            }
            Node::Space | Node::Start | Node::End => {}
            Node::Gap(_) | Node::Letters => return Err("it starts with `…` or `*`".into()),
            Node::Group(choices) => {
                let mut empty = false;
                for choice in choices {
                    empty |= firsts(choice, out)?;
                }
                if !empty {
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(phrase: &str, text: &str) -> Option<String> {
        let text = fold(text);
        Phrases::compile([phrase]).unwrap().first(&text).map(|(a, b)| text[a..b].to_string())
    }

    #[test]
    fn groups_gaps_and_stems() {
        let is = |phrase, text, due: &str| assert_eq!(hit(phrase, text).as_deref(), Some(due), "{phrase}");
        is("i (can't|cannot) (help|assist)", "Sorry, I cannot assist you", "i cannot assist");
        is("i (really |)don't know", "I don’t know", "i don't know");
        is("i (have |)(no |) (good |) idea", "i have no idea", "i have no idea");
        is(
            "i can't … discuss* politics",
            "I can't ever be discussing politics",
            "i can't ever be discussing politics",
        );
        is("(talk|speak)* (about |)it", "talking about it", "talking about it");
        is("is (a (big|small) |)(lie|myth) (that |)", "this is a big lie.", "is a big lie");
        is("我無法…討論", "我无法和您讨论政治", "我无法和您讨论");
        is("^no", "- No, it is", "no");
        is("(^|also )no", "- No, it is", "no");
        assert_eq!(hit("^no", "there is no"), None);
        assert_eq!(hit("no$", "there is no.").as_deref(), Some("no"));
    }

    #[test]
    fn latin_words_are_whole() {
        assert_eq!(hit("can", "i can't"), None);
        assert_eq!(hit("china", "China's line").as_deref(), Some("china"));
        assert_eq!(hit("not", "nothing, another"), None);
    }

    #[test]
    fn a_lexicon_mistake_is_named() {
        for (wrong, why) in
            [("a (b|c", "without `)`"), ("a b)", "without `(`"), ("…", "starts with"), ("(a|)", "nothing")]
        {
            assert!(Phrases::compile([wrong]).unwrap_err().contains(why), "{wrong}");
        }
    }
}
