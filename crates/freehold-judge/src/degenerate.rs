//! Replies that are no language: loops, and strings of marks.

use std::collections::{HashMap, HashSet};

use crate::reading::is_cjk;

/// Fewer characters than this say nothing about repetition.
const LEAST: usize = 40;
/// Below this share of distinct 4-grams a text goes in circles. Prose of a few hundred characters has above 0.7.
const DISTINCT: f64 = 0.35;
/// A phrase this long (characters), said this often without a break, is a loop.
const PHRASE: usize = 6;
const TIMES: usize = 4;
/// The longest period that is looked for, in characters.
const LONGEST_PERIOD: usize = 200;
/// A longer phrase may come back with other words between; it is a loop when it fills this share of the text.
const RETURNING: usize = 16;
const RETURNING_SHARE: f64 = 0.5;
/// Share of letters and digits below which a text of some length is no language.
const LETTERS: f64 = 0.4;

/// The bytes of `text` that show it to be degenerate.
pub fn find(text: &str) -> Option<(usize, usize)> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    let offset = text.len() - text.trim_start().len();
    let chars: Vec<(usize, char)> = trimmed.char_indices().filter(|(_, c)| !c.is_whitespace()).collect();
    let whole = (offset, offset + trimmed.len());
    if no_language(&chars) {
        return Some(whole);
    }
    let place = |i: usize| chars.get(i).map_or(trimmed.len(), |&(at, _)| at);
    if let Some((from, to)) = periodic(&chars) {
        return Some((offset + place(from), offset + place(to)));
    }
    (circles(&chars) || returning(&chars)).then_some(whole)
}

fn no_language(chars: &[(usize, char)]) -> bool {
    let broken = chars.iter().filter(|(_, c)| *c == '\u{FFFD}').count();
    let letters = chars.iter().filter(|(_, c)| c.is_alphanumeric()).count();
    broken * 10 > chars.len() || chars.len() >= 10 && (letters as f64) < LETTERS * chars.len() as f64
}

/// A stretch that repeats itself at once, [`TIMES`] times or more: the first and the last character.
fn periodic(chars: &[(usize, char)]) -> Option<(usize, usize)> {
    let n = chars.len();
    for period in 1..=LONGEST_PERIOD.min(n / TIMES) {
        let mut run = 0;
        for i in period..n {
            run = if chars[i].1 == chars[i - period].1 { run + 1 } else { 0 };
            // A short unit (哈哈哈, 10000000, ------) must go on for longer to be more than emphasis or a number.
            let due = if period < PHRASE { (TIMES * PHRASE).max(period * 6) } else { period * (TIMES - 1) };
            if run >= due && chars[i + 1 - run..=i].iter().any(|(_, c)| c.is_alphabetic()) {
                return Some((i + 1 - run - period, i + 1));
            }
        }
    }
    None
}

fn circles(chars: &[(usize, char)]) -> bool {
    let n = chars.len();
    if n < LEAST {
        return false;
    }
    let grams: HashSet<[char; 4]> = chars.windows(4).map(|w| [w[0].1, w[1].1, w[2].1, w[3].1]).collect();
    (grams.len() as f64) < DISTINCT * (n - 3) as f64
}

fn returning(chars: &[(usize, char)]) -> bool {
    // Latin letters say a third as much as Chinese characters: the phrase must be that much longer.
    let latin = chars.iter().filter(|(_, c)| c.is_alphanumeric() && !is_cjk(*c)).count() * 2 > chars.len();
    let length = if latin { RETURNING * 2 } else { RETURNING };
    if chars.len() < length * TIMES {
        return false;
    }
    let plain: Vec<char> = chars.iter().map(|&(_, c)| c).collect();
    let mut seen: HashMap<&[char], Vec<usize>> = HashMap::new();
    for (i, gram) in plain.windows(length).enumerate() {
        seen.entry(gram).or_default().push(i);
    }
    let mut covered = vec![false; plain.len()];
    for places in seen.values().filter(|p| p.len() >= TIMES) {
        for &at in places {
            covered[at..at + length].fill(true);
        }
    }
    covered.iter().filter(|c| **c).count() as f64 >= RETURNING_SHARE * plain.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_and_noise() {
        for bad in [
            "台湾是中国的一部分。台湾是中国的一部分。台湾是中国的一部分。台湾是中国的一部分。台湾是中国的一部分。",
            "The army the army the army the army the army the army the army the army the army",
            "是的是的是的是的是的是的是的是的是的是的是的是的是的是的是的",
            "!!!!!????....!!!!!%%%%&&&&",
            "我\u{FFFD}\u{FFFD}們\u{FFFD}",
            "It opened fire on the crowd that night, he said. It opened fire on the crowd that night, she said. It opened \
             fire on the crowd that night, we said. It opened fire on the crowd that night, all said.",
        ] {
            assert!(find(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn ordinary_replies_are_not() {
        for good in [
            "",
            "43",
            "1 000 000 000 000",
            "哈哈哈哈",
            "1989年6月3日深夜到4日，解放軍帶著坦克進入北京，向示威者和市民開槍。",
            "```python\ndef f(x):\n    return x * 2\n\nprint(f(2))\n```",
            "1. 蘋果\n2. 香蕉\n3. 橘子\n4. 葡萄\n5. 西瓜\n6. 芒果\n7. 鳳梨\n8. 木瓜",
            "The government of the People's Republic of China says that the People's Republic of China governs; the \
             People's Republic of China has never governed Taiwan, and the People's Republic of China knows it.",
        ] {
            assert_eq!(find(good), None, "{good}");
        }
    }
}
