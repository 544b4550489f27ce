//! The pages about what the control plane has: projects, runs, tasks, triggers and apps. All have the same parts.
//!
//! The pages are complete without JavaScript. Their only script shows times in the reader's zone and keeps a page that has
//! [`ConsoleView::events`] up to date.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::page::scripted_page;
use flyte_model::clock::UnixTime;

/// A page of the console. Texts may come from tasks and are escaped.
#[derive(Clone, Debug, Default)]
pub struct ConsoleView {
    /// E-mail address of the signed-in user.
    pub email: String,
    /// The way from the home page to this page.
    pub crumbs: Vec<Link>,
    /// What the page is about, for example `Run`.
    pub kind: &'static str,
    /// The name of it.
    pub heading: String,
    /// A sentence about it; may be empty.
    pub lead: String,
    /// Its phase, if it has one.
    pub phase: Option<Phase>,
    /// The address at which it can be used.
    pub open: Option<Link>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// What is known about it.
    pub facts: Vec<(&'static str, Cell)>,
    /// Lists, values and commands.
    pub sections: Vec<Section>,
    /// Its log.
    pub log: Option<LogView>,
    /// The address of the events that say when the page has changed, if it still can.
    pub events: Option<String>,
    /// The address of this page without its log, from which a live page takes what has changed.
    pub state: String,
}

/// A link to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The address.
    pub href: String,
    /// The text.
    pub text: String,
}

/// A phase or a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its name.
    pub name: &'static str,
    /// How it is shown.
    pub tone: Tone,
}

/// The meaning of a phase for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is over, as wanted.
    Good,
    /// It failed.
    Bad,
    /// Something happens.
    Busy,
    /// Nothing happens.
    Quiet,
}

impl Tone {
    /// The class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Busy => "busy",
            Self::Quiet => "quiet",
        }
    }
}

/// Why something failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// A short text, for example the name of the exception.
    pub title: String,
    /// The whole message, as a task wrote it.
    pub message: Cut,
}

/// A text that may be shortened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut {
    /// The text, or its beginning.
    pub text: String,
    /// How much is missing, in words, if the text is shortened.
    pub missing: Option<String>,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// As a `datetime` attribute of HTML.
    pub datetime: String,
    /// For people, in UTC.
    pub text: String,
}

impl Moment {
    /// The moment of a time in seconds; `None` if it is out of the range of dates.
    #[must_use]
    pub fn of(at: UnixTime) -> Option<Self> {
        let at = jiff::Timestamp::from_second(at).ok()?;
        Some(Self {
            datetime: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        })
    }
}

/// A value of a fact or of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text.
    Text(String),
    /// A name or a part of a program.
    Code(String),
    /// A link.
    Link(Link),
    /// Several links.
    Links(Vec<Link>),
    /// A moment.
    Time(Moment),
    /// A phase.
    Phase(Phase),
    /// A button of a row.
    Button(RowButton),
}

/// A button in a table. It submits a form that is elsewhere in the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowButton {
    /// The identifier of the form.
    pub form: &'static str,
    /// The name of the field that it adds.
    pub name: &'static str,
    /// The value of that field.
    pub value: String,
    /// Its text, for example `Remove`.
    pub text: &'static str,
    /// What it is about, for those who do not see the row.
    pub what: String,
}

/// A part of a page with a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its identifier in the page.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// What it has.
    pub content: Content,
}

/// The content of a section.
#[derive(Clone, Debug)]
pub enum Content {
    /// A table, and where it continues.
    Table {
        /// The headings of the columns.
        columns: Vec<&'static str>,
        /// The rows.
        rows: Vec<Vec<Cell>>,
        /// The next page of the table.
        more: Option<Link>,
    },
    /// Values by name.
    Values(Vec<(String, Cut)>),
    /// Commands for a terminal.
    Commands(Vec<String>),
    /// A sentence.
    Note(String),
}

/// A log, or the end of it.
#[derive(Clone, Debug, Default)]
pub struct LogView {
    /// What kind of log, for example `Log of attempt 2`.
    pub title: String,
    /// The lines.
    pub lines: Vec<LogLine>,
    /// A sentence about what is missing.
    pub note: Option<String>,
    /// The address of the whole log.
    pub whole: String,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub time: String,
    /// Whether the runner wrote it, and not the task.
    pub system: bool,
    /// The text, in parts with the same style.
    pub parts: Vec<LogPart>,
}

/// A part of a line with one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// The classes in the style sheet; may be empty.
    pub class: String,
    /// The text, without control characters.
    pub text: String,
}

#[derive(Template)]
#[template(path = "console/page.html")]
struct PageTemplate<'a> {
    view: &'a ConsoleView,
}

#[derive(Template)]
#[template(path = "console/lines.html")]
struct LinesTemplate<'a> {
    lines: &'a [LogLine],
}

/// A page of the console.
#[must_use]
pub fn console_page(view: &ConsoleView) -> Response {
    scripted_page(StatusCode::OK, &PageTemplate { view })
}

/// Lines of a log as the page has them, to be added to it.
#[must_use]
pub fn log_lines(lines: &[LogLine]) -> String {
    LinesTemplate { lines }.render().unwrap_or_default()
}
