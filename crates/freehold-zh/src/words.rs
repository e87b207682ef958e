//! Mainland wording: the list in `data/mainland.tsv` and where a text uses it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::chars::simplified_of;

/// A mainland word and Taiwan's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As the list has it, in Traditional characters.
    pub word: String,
    pub taiwan: String,
    /// The spelling that this entry matches: Traditional or Simplified.
    form: String,
    /// Longer strings in which `form` is no hit.
    except: Vec<String>,
}

/// One use of a mainland word: byte offsets, and the entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
    pub word: &'static Word,
}

struct Index {
    words: Vec<Word>,
    /// Entries by first character, longest first.
    by_first: HashMap<char, Vec<usize>>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut words = Vec::new();
    for line in include_str!("../data/mainland.tsv").lines() {
        let mut fields = line.split('\t');
        let (Some(word), Some(taiwan)) = (fields.next(), fields.next()) else { continue };
        if word.starts_with('#') {
            continue;
        }
        let except: Vec<&str> = fields.next().unwrap_or("").split(',').filter(|s| !s.is_empty()).collect();
        let spellings: [fn(&str) -> String; 3] = [str::to_owned, |s| s.replace('臺', "台"), simplified];
        for (i, spell) in spellings.iter().enumerate() {
            let form = spell(word);
            if spellings[..i].iter().any(|earlier| earlier(word) == form) {
                continue;
            }
            let except = except.iter().map(|s| spell(s)).collect();
            words.push(Word { word: word.to_owned(), taiwan: taiwan.to_owned(), form, except });
        }
    }
    let mut by_first: HashMap<char, Vec<usize>> = HashMap::new();
    for (i, word) in words.iter().enumerate() {
        if let Some(first) = word.form.chars().next() {
            by_first.entry(first).or_default().push(i);
        }
    }
    for list in by_first.values_mut() {
        list.sort_by_key(|&i| std::cmp::Reverse(words[i].form.len()));
    }
    Index { words, by_first }
});

fn simplified(text: &str) -> String {
    text.chars().map(|c| simplified_of(c).unwrap_or(c)).collect()
}

/// Every entry of the list, one per spelling.
pub fn list() -> &'static [Word] {
    &INDEX.words
}

/// Uses of mainland words in `text`, in order, longest match first, not overlapping.
pub fn hits(text: &str) -> Vec<Hit> {
    let mut out = Vec::new();
    let mut resume = 0;
    for (start, c) in text.char_indices() {
        if start < resume {
            continue;
        }
        let Some(candidates) = INDEX.by_first.get(&c) else { continue };
        let found = candidates.iter().map(|&i| &INDEX.words[i]).find(|w| w.at(text, start));
        if let Some(word) = found {
            resume = start + word.form.len();
            out.push(Hit { start, end: resume, word });
        }
    }
    out
}

impl Word {
    fn at(&self, text: &str, start: usize) -> bool {
        text[start..].starts_with(&self.form) && !self.except.iter().any(|e| self.inside(e, text, start))
    }

    /// Whether the match at `start` is part of the longer string `outer`.
    fn inside(&self, outer: &str, text: &str, start: usize) -> bool {
        outer.match_indices(&self.form).any(|(offset, _)| {
            start.checked_sub(offset).and_then(|s| text.get(s..)).is_some_and(|t| t.starts_with(outer))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::chars::traditional_of;

    fn found(text: &str) -> Vec<&'static str> {
        hits(text).into_iter().map(|h| h.word.taiwan.as_str()).collect()
    }

    #[test]
    fn longest_match_and_both_spellings() {
        assert_eq!(found("請打開操作系統與數據庫"), ["作業系統", "資料庫"]);
        assert_eq!(found("软件和鼠标"), ["軟體", "滑鼠"]);
        assert_eq!(found("台式機"), ["桌上型電腦"]);
        assert_eq!(found("移動互聯網"), ["行動網際網路"]);
    }

    #[test]
    fn words_inside_other_words_are_no_hits() {
        assert_eq!(found("電視頻道、博客來、體內存在、簡短信件、我同意大利多、公布什麼"), Vec::<&str>::new());
        assert_eq!(found("內存不足"), ["記憶體"]);
    }

    #[test]
    fn the_list_is_well_formed() {
        let mut words = BTreeSet::new();
        for w in list() {
            words.insert(&w.word);
            for c in w.word.chars().chain(w.taiwan.chars()) {
                assert_eq!(traditional_of(c), None, "{c} in {} / {}", w.word, w.taiwan);
            }
            assert_ne!(w.word, w.taiwan);
            assert!(hits(&w.taiwan).is_empty(), "Taiwan's word {} is itself on the list", w.taiwan);
            for e in &w.except {
                assert!(e.contains(&w.form), "{e} does not contain {}", w.form);
            }
        }
        assert!(words.len() >= 60, "{}", words.len());
    }
}
