//! The position in a log. A log that is opened again continues there.

use crate::logs::Line;

/// How far the log of one attempt was read. The protocol has no positions: the server sends a log from its first line each time.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The first line of the log.
    first: Option<Line>,
    /// The number of lines that were read.
    read: u64,
    /// The latest time of a line that was read, and the number of lines with this time.
    latest: Option<(f64, u64)>,
    repeat: Repeat,
}

/// Which of the next lines were read before.
#[derive(Clone, Copy, Debug, Default)]
enum Repeat {
    /// None.
    #[default]
    Over,
    /// Not known before the first line.
    Undecided,
    /// This many lines. Lines are only appended to a log, so the number is exact.
    Counted(u64),
    /// Lines before this time, and this many lines of exactly this time. The server has removed the beginning of the log, whose
    /// size is limited.
    Before(f64, u64),
}

impl Position {
    /// Records that the log will be read from its beginning again.
    pub(super) fn begin_again(&mut self) {
        self.repeat = if self.read == 0 { Repeat::Over } else { Repeat::Undecided };
    }

    /// Records the next line. Returns whether it was not read before.
    pub(super) fn is_new(&mut self, line: &Line) -> bool {
        if let Repeat::Undecided = self.repeat {
            self.repeat = match self.latest {
                _ if self.first.as_ref() == Some(line) => Repeat::Counted(self.read),
                Some((at, lines)) => Repeat::Before(at, lines),
                // Without times, new lines cannot be recognized. A repeated line is better than a missing one.
                None => Repeat::Over,
            };
        }
        match &mut self.repeat {
            Repeat::Counted(left) if *left > 0 => {
                *left -= 1;
                return false;
            }
            Repeat::Before(latest, left) => match line.at {
                Some(at) if at < *latest => return false,
                #[allow(clippy::float_cmp, reason = "the same time, parsed twice")]
                Some(at) if at == *latest && *left > 0 => {
                    *left -= 1;
                    return false;
                }
                Some(_) => self.repeat = Repeat::Over,
                None => {}
            },
            _ => self.repeat = Repeat::Over,
        }
        self.read += 1;
        self.first.get_or_insert_with(|| line.clone());
        if let Some(at) = line.at {
            self.latest = match self.latest {
                Some((latest, lines)) if at <= latest => Some((latest, lines + u64::from(at >= latest))),
                _ => Some((at, 1)),
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: Option<f64>, text: &str) -> Line {
        Line { at, text: text.to_owned(), ..Line::default() }
    }

    /// The new lines of each of several readings of one log.
    fn new(readings: &[&[(Option<f64>, &str)]]) -> Vec<Vec<String>> {
        let mut position = Position::default();
        let reading = |lines: &&[(Option<f64>, &str)]| {
            position.begin_again();
            let lines = lines.iter().map(|(at, text)| line(*at, text));
            lines.filter(|line| position.is_new(line)).map(|line| line.text).collect()
        };
        readings.iter().map(reading).collect()
    }

    #[test]
    fn a_log_that_is_opened_again_continues_at_its_position() {
        let (a, b, c) = ((None, "a"), (None, "a"), (None, "c"));
        assert_eq!(
            new(&[&[a, b], &[a, b, c], &[a], &[a, b, c, a]]),
            [vec!["a", "a"], vec!["c"], vec![], vec!["a"]]
        );
        assert_eq!(new(&[&[], &[a]]), [vec![], vec!["a"]]);
    }

    #[test]
    fn a_log_without_its_beginning_continues_by_time() {
        let at = |at: f64, text: &'static str| (Some(at), text);
        let whole = [at(1.0, "a"), at(2.0, "b"), at(3.0, "c"), at(3.0, "d")];
        let later = [
            at(2.0, "earlier lines are not kept"),
            at(2.0, "b"),
            at(3.0, "c"),
            at(3.0, "d"),
            at(3.0, "e"),
            at(4.0, "f"),
        ];
        let last = [at(3.0, "earlier lines are not kept"), at(3.0, "e"), at(4.0, "f"), at(4.0, "g")];
        assert_eq!(new(&[&whole, &later])[1], ["e", "f"]);
        assert_eq!(
            new(&[&whole, &later, &later[1..], &[at(5.0, "gone"), at(6.0, "h")]])[2..],
            [vec![], vec!["gone", "h"]]
        );
        // The remark about removed lines counts as a line of its time. The result repeats a line, but does not lose one.
        assert_eq!(new(&[&whole[..3], &last])[1], ["e", "f", "g"]);
        assert_eq!(new(&[&[(None, "x")], &[(None, "y")]])[1], ["y"]);
    }
}
