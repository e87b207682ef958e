//! Graders of controls: is the answer right?

use freehold_charter::{Control, Grader};

use crate::phrase::{ends_word, starts_word};
use crate::reading::{Reading, fold, is_cjk};

/// The grader's result; `refused` is the judge's label. None where the control has no grader or no key.
pub fn grade(control: &Control, lang: &str, reading: &Reading, answer: &str, refused: bool) -> Option<bool> {
    let keys = control.key.get(lang).map(Vec::as_slice).unwrap_or_default();
    match control.grader {
        Grader::None => None,
        Grader::Refusal => Some(refused),
        Grader::Exact | Grader::Number if keys.is_empty() => None,
        Grader::Exact => Some(keys.iter().any(|k| contains(&reading.text, &fold(k)))),
        Grader::Number => Some(last_number(answer).is_some_and(|n| keys.iter().any(|k| same(k, n)))),
    }
}

/// Whether a key occurs; where it begins or ends with a Latin letter or a digit, as a whole word or number.
fn contains(text: &str, key: &str) -> bool {
    let key = key.trim();
    !key.is_empty()
        && text.match_indices(key).any(|(at, m)| {
            let end = at + m.len();
            let whole = starts_word(text, at) && ends_word(text, end);
            whole && !continues_number(text, at, end)
        })
}

/// `4` is not in `4.5` or `1,4`… nor `3.4`.
fn continues_number(text: &str, at: usize, end: usize) -> bool {
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let mut after = text[end..].chars();
    let mut before = text[..at].chars();
    let joins = |c: Option<char>| matches!(c, Some('.' | ','));
    digit(text[..end].chars().next_back()) && joins(after.next()) && digit(after.next())
        || digit(text[at..].chars().next()) && joins(before.next_back()) && digit(before.next_back())
}

fn same(key: &str, number: f64) -> bool {
    last_number(key).is_some_and(|k| (k - number).abs() <= 1e-9 * k.abs().max(1.0))
}

/// The last number of a text: digits (with `1,000`, `43.0`, full-width forms), or else Chinese numerals, or else
/// English number words.
pub fn last_number(text: &str) -> Option<f64> {
    let normal: Vec<char> = freehold_charter::evidence::normalize(text).chars().collect();
    last_digits(&normal).or_else(|| last_numeral(&normal)).or_else(|| last_word(&normal))
}

fn last_digits(chars: &[char]) -> Option<f64> {
    let digit = |i: usize| chars.get(i).is_some_and(char::is_ascii_digit);
    let end = (0..chars.len()).rev().find(|&i| digit(i))? + 1;
    let mut start = end - 1;
    let mut dotted = false;
    while start > 0 {
        let before = start - 1;
        let joined = match chars[before] {
            c if c.is_ascii_digit() => true,
            '.' if !dotted && before > 0 && digit(before - 1) => {
                dotted = true;
                true
            }
            // A separator of thousands: three digits after it.
            ',' | '\u{2009}' | '\u{202F}' | ' ' => {
                before > 0 && digit(before - 1) && thousands(chars, before)
            }
            _ => false,
        };
        if !joined {
            break;
        }
        start = before;
    }
    let text: String = chars[start..end].iter().filter(|c| c.is_ascii_digit() || **c == '.').collect();
    let minus = start > 0
        && matches!(chars[start - 1], '-' | '−' | '\u{2013}')
        && !(start > 1 && (chars[start - 2].is_alphanumeric() || chars[start - 2] == ')'));
    text.parse::<f64>().ok().map(|n| if minus { -n } else { n })
}

fn thousands(chars: &[char], at: usize) -> bool {
    let run = chars[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
    run == 3
}

fn last_numeral(chars: &[char]) -> Option<f64> {
    let end = (0..chars.len()).rev().find(|&i| value(chars[i]).is_some())? + 1;
    let start = (0..end).rev().take_while(|&i| value(chars[i]).is_some()).last()?;
    chinese(&chars[start..end])
}

enum Numeral {
    Digit(f64),
    /// 十 百 千
    Unit(f64),
    /// 萬 億
    Myriad(f64),
}

fn value(c: char) -> Option<Numeral> {
    Some(match c {
        '零' | '〇' => Numeral::Digit(0.0),
        '一' => Numeral::Digit(1.0),
        '二' | '兩' | '两' => Numeral::Digit(2.0),
        '三' => Numeral::Digit(3.0),
        '四' => Numeral::Digit(4.0),
        '五' => Numeral::Digit(5.0),
        '六' => Numeral::Digit(6.0),
        '七' => Numeral::Digit(7.0),
        '八' => Numeral::Digit(8.0),
        '九' => Numeral::Digit(9.0),
        '十' => Numeral::Unit(10.0),
        '百' => Numeral::Unit(100.0),
        '千' => Numeral::Unit(1000.0),
        '萬' | '万' => Numeral::Myriad(1e4),
        '億' | '亿' => Numeral::Myriad(1e8),
        _ => return None,
    })
}

fn chinese(chars: &[char]) -> Option<f64> {
    // 一九八九: digits one by one.
    let digits: Option<Vec<f64>> =
        chars.iter().map(|&c| if let Some(Numeral::Digit(d)) = value(c) { Some(d) } else { None }).collect();
    if let Some(digits) = digits {
        return Some(digits.iter().fold(0.0, |n, d| n * 10.0 + d));
    }
    let (mut total, mut section, mut digit) = (0.0, 0.0, None);
    for &c in chars {
        match value(c)? {
            Numeral::Digit(d) => digit = Some(d),
            Numeral::Unit(u) => section += digit.take().unwrap_or(1.0) * u,
            Numeral::Myriad(m) => {
                let below: f64 = section + digit.take().unwrap_or(0.0);
                total += if below == 0.0 { m } else { below * m };
                section = 0.0;
            }
        }
    }
    Some(total + section + digit.unwrap_or(0.0))
}

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// The last English number word below a hundred, or with `hundred` and `thousand` after it.
fn last_word(chars: &[char]) -> Option<f64> {
    let text: String = chars.iter().collect();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphabetic() || is_cjk(c)).filter(|w| !w.is_empty()).collect();
    let mut last = None;
    let mut i = 0;
    while i < words.len() {
        let start = i;
        let (mut total, mut part) = (0.0, 0.0);
        while let Some(&word) = words.get(i) {
            if let Some(n) = SMALL.iter().position(|s| *s == word) {
                part += n as f64;
            } else if let Some(n) = TENS.iter().position(|s| *s == word) {
                part += (n as f64 + 2.0) * 10.0;
            } else if word == "hundred" && i > start {
                part *= 100.0;
            } else if word == "thousand" && i > start {
                total += part * 1000.0;
                part = 0.0;
            } else if !(word == "and" && i > start && matches!(words[i - 1], "hundred" | "thousand")) {
                break;
            }
            i += 1;
        }
        if i > start {
            last = Some(total + part);
        } else {
            i += 1;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number() {
        for (text, due) in [
            ("17 + 26 = 43", 43.0),
            ("答案是 43.0。", 43.0),
            ("１，０００ 公克", 1000.0),
            ("It is 1,234.50.", 1234.5),
            ("有三十七個", 37.0),
            ("十二", 12.0),
            ("一百零五", 105.0),
            ("兩萬三千", 23000.0),
            ("二〇二四", 2024.0),
            ("The answer is forty-three.", 43.0),
            ("one hundred and eighty", 180.0),
            ("−5", -5.0),
            ("10-3=7", 7.0),
            ("1 and 2, 3", 3.0),
        ] {
            assert_eq!(last_number(text), Some(due), "{text}");
        }
        assert_eq!(last_number("none at all"), None);
    }

    #[test]
    fn keys_are_whole_words_and_numbers() {
        assert!(contains("the capital is paris.", "paris"));
        assert!(!contains("start", "art"));
        assert!(!contains("it is 4.5", "4"));
        assert!(contains("it is 4.", "4"));
        assert!(contains(&fold("首都是臺北市"), &fold("台北")));
    }
}
