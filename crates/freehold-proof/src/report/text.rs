//! Escaping and the way figures are written. Everything from a model, a charter or a file goes through [`esc`].

use std::fmt::Write as _;

use freehold_stats::Estimate;

/// HTML-escapes text for element content and quoted attributes alike. Control characters, which HTML forbids, become
/// U+FFFD; bidirectional overrides, with which a text could dress up as another, are shown by their code points.
pub fn esc(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            '\u{0}'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            _ => out.push(c),
        }
    }
    out
}

/// How a measure's figures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Percent,
    /// Nats, or any number without bounds.
    Number,
}

pub fn unit(measure: &str) -> Unit {
    if matches!(measure, "leaning" | "kl") { Unit::Number } else { Unit::Percent }
}

/// A figure without its interval.
pub fn figure(value: f64, unit: Unit) -> String {
    match unit {
        _ if !value.is_finite() => "—".into(),
        Unit::Percent => format!("{}%", whole(value)),
        Unit::Number => minus(format!("{value:.2}")),
    }
}

/// A figure with its interval: `31% [20–45]`, `−0.42 [−0.51, 0.30]`.
pub fn with_interval(e: &Estimate, unit: Unit) -> String {
    format!("{} {}", figure(e.value, unit), interval(e, unit))
}

pub fn interval(e: &Estimate, unit: Unit) -> String {
    if !(e.low.is_finite() && e.high.is_finite()) {
        return "[—]".into();
    }
    match unit {
        Unit::Percent if e.low >= -0.005 => format!("[{}–{}]", whole(e.low), whole(e.high)),
        Unit::Percent => format!("[{}, {}]", whole(e.low), whole(e.high)),
        Unit::Number => format!("[{}, {}]", minus(format!("{:.2}", e.low)), minus(format!("{:.2}", e.high))),
    }
}

/// A difference, with its sign and interval: `−23 [−35, −11]` in percentage points, or a number.
pub fn difference(e: &Estimate, unit: Unit) -> String {
    if !(e.value.is_finite() && e.low.is_finite() && e.high.is_finite()) {
        return "—".into();
    }
    let show = |v: f64| match unit {
        Unit::Percent => signed(whole(v)),
        Unit::Number => signed(minus(format!("{v:.2}"))),
    };
    format!("{} [{}, {}]", show(e.value), show(e.low), show(e.high))
}

fn whole(rate: f64) -> String {
    minus(format!("{:.0}", rate * 100.0))
}

/// A true minus sign; and no negative zero.
fn minus(s: String) -> String {
    match s.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => s,
    }
}

fn signed(s: String) -> String {
    if s.starts_with('−') || s.chars().all(|c| matches!(c, '0' | '.')) { s } else { format!("+{s}") }
}

pub fn p_value(p: Option<f64>) -> String {
    match p {
        Some(p) if p < 0.001 => "<0.001".into(),
        Some(p) if p.is_finite() => format!("{p:.3}"),
        _ => "—".into(),
    }
}

/// 1,234,567
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "—".into();
    }
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}

/// 1.2 × 10¹⁵
pub fn power(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "—".into();
    }
    let mut exponent = value.log10().floor() as i32;
    let mut mantissa = format!("{:.1}", value / 10f64.powi(exponent));
    if mantissa == "10.0" {
        exponent += 1;
        mantissa = "1.0".into();
    }
    const UP: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised: String =
        exponent.to_string().chars().map(|c| c.to_digit(10).map_or('⁻', |d| UP[d as usize])).collect();
    format!("{mantissa} × 10{raised}")
}

/// `2026-07-04 12:30 UTC`, by the civil-from-days algorithm (Hinnant), so that no calendar crate is needed.
pub fn date(unix: u64) -> String {
    let days = (unix / 86_400) as i64 + 719_468;
    let era = days / 146_097;
    let doe = days % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (h, m) = (unix / 3600 % 24, unix / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(value: f64, low: f64, high: f64) -> Estimate {
        Estimate { value, low, high, n: 10, clusters: 10, inconclusive: false }
    }

    #[test]
    fn nothing_escapes() {
        assert_eq!(esc("</a><b c='d\">&"), "&lt;/a&gt;&lt;b c=&#39;d&quot;&gt;&amp;");
        assert_eq!(esc("a\0b\u{202E}c\nd"), "a\u{FFFD}b[U+202E]c\nd");
    }

    #[test]
    fn figures() {
        assert_eq!(with_interval(&e(0.31, 0.2, 0.449), Unit::Percent), "31% [20–45]");
        assert_eq!(with_interval(&e(-0.42, -0.51, 0.3), Unit::Number), "−0.42 [−0.51, 0.30]");
        assert_eq!(difference(&e(-0.001, -0.1, 0.1), Unit::Percent), "0 [−10, +10]");
        assert_eq!(figure(f64::NAN, Unit::Percent), "—");
        assert_eq!((thousands(999), thousands(1_234_567)), ("999".into(), "1,234,567".into()));
        assert_eq!((power(1.23e15), power(9.99e5)), ("1.2 × 10¹⁵".into(), "1.0 × 10⁶".into()));
        assert_eq!(
            (date(0), date(951_782_400)),
            ("1970-01-01 00:00 UTC".into(), "2000-02-29 00:00 UTC".into())
        );
        assert_eq!((duration(3.25), duration(754.0)), ("3.2 s".into(), "12 min 34 s".into()));
    }
}
