//! Lines of logs with the escape sequences of terminals (ECMA-48): colours and bold become styles, everything else is removed.

use anstyle_parse::{DefaultCharAccumulator, Params, Parser, Perform};
use flyte_pages::LogPart;

/// Reads the lines of one log. A style continues in the next line, as in a terminal.
#[derive(Default)]
pub(crate) struct Ansi {
    style: Style,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    colour: Option<&'static str>,
}

impl Style {
    fn class(self) -> String {
        let words = [self.bold.then_some("bold"), self.dim.then_some("dim"), self.colour];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl Ansi {
    /// The parts of a line with their styles.
    pub(crate) fn line(&mut self, text: &str) -> Vec<LogPart> {
        let mut line = Line { style: self.style, parts: Vec::new(), part: String::new() };
        let mut parser = Parser::<DefaultCharAccumulator>::new();
        for byte in text.bytes() {
            parser.advance(&mut line, byte);
        }
        line.finish_part();
        self.style = line.style;
        line.parts
    }
}

struct Line {
    style: Style,
    parts: Vec<LogPart>,
    part: String,
}

impl Line {
    fn finish_part(&mut self) {
        if !self.part.is_empty() {
            let text = std::mem::take(&mut self.part);
            self.parts.push(LogPart { class: self.style.class(), text });
        }
    }
}

impl Perform for Line {
    fn print(&mut self, character: char) {
        self.part.push(character);
    }

    fn execute(&mut self, byte: u8) {
        if byte == b'\t' {
            self.part.push('\t');
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action != b'm' || ignore || !intermediates.is_empty() {
            return;
        }
        self.finish_part();
        let mut numbers = params.iter().map(|values| values.first().copied().unwrap_or_default());
        while let Some(number) = numbers.next() {
            match number {
                0 => self.style = Style::default(),
                1 => self.style.bold = true,
                2 => self.style.dim = true,
                22 => (self.style.bold, self.style.dim) = (false, false),
                30..=37 => self.style.colour = colour(number - 30),
                90..=97 => self.style.colour = colour(number - 90),
                39 => self.style.colour = None,
                // A colour of another palette follows, which may not be readable on this page.
                38 | 48 | 58 => match numbers.next() {
                    Some(5) => drop(numbers.next()),
                    Some(2) => drop(numbers.nth(2)),
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// The class of a colour; black and white are the colour of the text.
fn colour(number: u16) -> Option<&'static str> {
    [None, Some("red"), Some("green"), Some("yellow"), Some("blue"), Some("magenta"), Some("cyan"), None]
        .get(usize::from(number))
        .copied()
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ansi: &mut Ansi, text: &str) -> String {
        let parts = ansi.line(text).into_iter();
        parts.map(|LogPart { class, text }| format!("<{class}>{text}")).collect()
    }

    #[test]
    fn colours_become_classes_and_other_sequences_are_removed() {
        let mut ansi = Ansi::default();
        let mut is = |text: &str, wanted: &str| assert_eq!(shown(&mut ansi, text), wanted, "{text:?}");
        is("plain", "<>plain");
        is("\u{1b}[1;31mbad\u{1b}[0m good", "<bold red>bad<> good");
        is("\u{1b}[38;5;31mx\u{1b}[38;2;1;31;32my\u{1b}[92mz\u{1b}[39m", "<>x<>y<green>z");
        is("\u{1b}[32mstill", "<green>still");
        is("green\u{1b}[m", "<green>green");
        is("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}[?25ld\r\u{8}\te", "<>abcd\te");
        is("é\u{1b}]8;;javascript:alert(1)\u{1b}\\link", "<>élink");
        is("\u{1b}[31", "");
        is("<script>", "<><script>");
    }
}
