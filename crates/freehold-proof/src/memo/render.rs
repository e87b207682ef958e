//! Blocks as Markdown and as HTML. Models' and charters' words are foreign text: they are escaped here and nowhere else.

use std::fmt::Write as _;

use super::{Block, Tongue};
use crate::report::text::esc;

/// CommonMark with tables (GitHub's).
pub fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Title(t) => {
                let _ = writeln!(out, "# {}\n", plain(t));
            }
            Block::Heading(t) => {
                let _ = writeln!(out, "## {}\n", plain(t));
            }
            Block::Paragraph(t) => {
                let _ = writeln!(out, "{}\n", plain(t));
            }
            Block::Facts(facts) => {
                for (label, value) in facts {
                    let _ = writeln!(out, "- **{}**: {}", plain(label), plain(value));
                }
                out.push('\n');
            }
            Block::Table { head, rows } => {
                let line = |cells: &[String]| {
                    let cells: Vec<String> = cells.iter().map(|c| plain(c)).collect();
                    format!("| {} |\n", cells.join(" | "))
                };
                out.push_str(&line(head));
                let _ = writeln!(out, "|{}", "---|".repeat(head.len()));
                rows.iter().for_each(|r| out.push_str(&line(r)));
                out.push('\n');
            }
            Block::List(items) => {
                for item in items {
                    let _ = writeln!(out, "- {}", plain(item));
                }
                out.push('\n');
            }
            Block::Example { label, question, answer, note } => {
                let _ = writeln!(out, "**{}**: {}\n\n> {}\n", plain(label), plain(question), plain(answer));
                if let Some(note) = note {
                    let _ = writeln!(out, "{}\n", plain(note));
                }
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// On one line, with everything that Markdown or HTML could read as markup escaped.
fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(line.len());
    for (i, c) in line.chars().enumerate() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '#' | '>' | '+' | '-' | '=' if i == 0 => {
                out.push('\\');
                out.push(c);
            }
            // `1.` would begin a list.
            '.' | ')' if i > 0 && line.chars().take(i).all(|c| c.is_ascii_digit()) => {
                out.push('\\');
                out.push(c);
            }
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(out, "(U+{:04X})", u32::from(c));
            }
            c if c.is_control() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}

const CSS: &str = include_str!("memo.css");

/// One file without script or network, to be printed on two pages of A4.
pub fn html(blocks: &[Block], tongue: Tongue) -> String {
    let title = blocks.iter().find_map(|b| match b {
        Block::Title(t) => Some(t.as_str()),
        _ => None,
    });
    let lang = match tongue {
        Tongue::English => "en",
        Tongue::Taiwan => "zh-Hant-TW",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title><style>{CSS}</style></head><body><main>\n",
        esc(title.unwrap_or("Freehold"))
    );
    for block in blocks {
        match block {
            Block::Title(t) => {
                let _ = writeln!(out, "<h1>{}</h1>", esc(t));
            }
            Block::Heading(t) => {
                let _ = writeln!(out, "<h2>{}</h2>", esc(t));
            }
            Block::Paragraph(t) => {
                let _ = writeln!(out, "<p>{}</p>", esc(t));
            }
            Block::Facts(facts) => {
                out.push_str("<dl>");
                for (label, value) in facts {
                    let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", esc(label), esc(value));
                }
                out.push_str("</dl>\n");
            }
            Block::Table { head, rows } => {
                out.push_str("<div class=\"wide\"><table><thead><tr>");
                for cell in head {
                    let _ = write!(out, "<th scope=\"col\">{}</th>", esc(cell));
                }
                out.push_str("</tr></thead><tbody>");
                for row in rows {
                    out.push_str("<tr>");
                    for (i, cell) in row.iter().enumerate() {
                        let _ = if i == 0 {
                            write!(out, "<th scope=\"row\">{}</th>", esc(cell))
                        } else {
                            write!(out, "<td>{}</td>", esc(cell))
                        };
                    }
                    out.push_str("</tr>");
                }
                out.push_str("</tbody></table></div>\n");
            }
            Block::List(items) => {
                out.push_str("<ul>");
                for item in items {
                    let _ = write!(out, "<li>{}</li>", esc(item));
                }
                out.push_str("</ul>\n");
            }
            Block::Example { label, question, answer, note } => {
                let _ = write!(
                    out,
                    "<article><p><b>{}</b> {}</p><blockquote>{}</blockquote>",
                    esc(label),
                    esc(question),
                    esc(answer)
                );
                if let Some(note) = note {
                    let _ = write!(out, "<p class=\"note\">{}</p>", esc(note));
                }
                out.push_str("</article>\n");
            }
        }
    }
    out.push_str("</main></body></html>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let hostile = "<script>alert(1)</script>\n# not a heading | `code` [link](x) \u{202E}";
        let blocks = [
            Block::Title(hostile.into()),
            Block::Table {
                head: vec!["a".into(), "b".into()],
                rows: vec![vec![hostile.into(), "1. x".into()]],
            },
            Block::Example {
                label: "x".into(),
                question: hostile.into(),
                answer: hostile.into(),
                note: None,
            },
        ];
        for out in [markdown(&blocks), html(&blocks, Tongue::Taiwan)] {
            assert!(!out.contains("<script"), "{out}");
            assert!(!out.contains('\u{202E}'), "{out}");
        }
        let text = markdown(&blocks);
        assert!(text.lines().all(|l| !l.starts_with("# not")), "{text}");
        let row = text.lines().find(|l| l.contains("1\\. x")).expect("a row");
        assert_eq!(row.replace("\\|", "").matches('|').count(), 3, "{row}");
    }
}
