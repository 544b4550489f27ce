//! Cells of tables, and texts of strangers in them.

use std::fmt::Write as _;

use flyte_pages::{Cell, Link, Moment, Phase, RowButton, Tone};

/// The longest text in a table or beside a heading, in characters.
const MOST: usize = 256;

/// Whether a character is not seen, or changes how others are seen.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in which every character is seen: invisible ones as their code points. Long texts are cut, and say so.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MOST));
    let mut letters = text.chars();
    for c in letters.by_ref().take(MOST) {
        if is_invisible(c) {
            // Writing to a String does not fail.
            let _ = write!(shown, "[U+{:04X}]", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    if letters.next().is_some() {
        let _ = write!(shown, " … ({} bytes)", text.len());
    }
    shown
}

/// An e-mail address. Letters beyond ASCII look like others, so their code points follow.
pub(crate) fn address(text: &str) -> String {
    let mut unusual: Vec<_> = text.chars().filter(|c| !c.is_ascii() && !is_invisible(*c)).take(8).collect();
    unusual.dedup();
    let shown = visible(text);
    match unusual.is_empty() {
        true => shown,
        false => {
            let points: Vec<_> = unusual.iter().map(|c| format!("U+{:04X}", u32::from(*c))).collect();
            format!("{shown} ({})", points.join(", "))
        }
    }
}

/// A text.
pub(crate) fn text(text: &str) -> Cell {
    if text.is_empty() { Cell::Empty } else { Cell::Text(visible(text)) }
}

/// A name or an identifier.
pub(crate) fn code(text: &str) -> Cell {
    if text.is_empty() { Cell::Empty } else { Cell::Code(visible(text)) }
}

/// A link. Its text is never empty, so that it can be followed.
pub(crate) fn link(href: String, text: &str) -> Cell {
    let text = if text.trim().is_empty() { "(no name)".to_owned() } else { visible(text) };
    Cell::Link(Link { href, text })
}

/// A time in seconds; 0 is none.
pub(crate) fn time(at: i64) -> Cell {
    if at == 0 { Cell::Empty } else { Moment::of(at).map_or(Cell::Empty, Cell::Time) }
}

/// A state.
pub(crate) fn state(name: &'static str, tone: Tone) -> Cell {
    Cell::Phase(Phase { name, tone })
}

/// A button that removes a row.
pub(crate) fn remove(form: &'static str, name: &'static str, value: &str, what: &str) -> Cell {
    Cell::Button(RowButton { form, name, value: value.to_owned(), text: "Remove", what: visible(what) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_hide_or_turn_anything() {
        assert_eq!(visible("a\u{202e}txt.exe\u{0}"), "a[U+202E]txt.exe[U+0000]");
        assert_eq!(visible("Zoë 李\u{200b}"), "Zoë 李[U+200B]");
        let long = visible(&"é".repeat(1_000_000));
        assert!(long.len() < 1000 && long.ends_with("… (2000000 bytes)"), "{}", long.len());
        assert_eq!(address("ada@example.com"), "ada@example.com");
        assert_eq!(address("\u{430}da@example.com"), "\u{430}da@example.com (U+0430)");
        assert_eq!(
            link(String::new(), " "),
            Cell::Link(Link { href: String::new(), text: "(no name)".to_owned() })
        );
        assert_eq!((time(0), time(i64::MAX)), (Cell::Empty, Cell::Empty));
    }
}
