//! The pages for administrators: lists, one thing of a list, and the forms that change it. All have the same parts.
//!
//! The pages are complete without JavaScript. Their forms post to the address of the page with the field `act`, which says
//! what is to be done.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode},
    response::Response,
};

use super::{
    console::{Cell, Content, Link, Phase},
    csrf,
    page::scripted_page,
};

/// A page for administrators. Texts may come from anyone and are escaped.
#[derive(Clone, Debug, Default)]
pub struct AdminView {
    /// E-mail address of the signed-in user.
    pub email: String,
    /// The areas that the user may open.
    pub tabs: Vec<Tab>,
    /// The way from the home page to this page.
    pub crumbs: Vec<Link>,
    /// What the page is about, for example `User`; may be empty.
    pub kind: &'static str,
    /// The name of it.
    pub heading: String,
    /// A sentence about it; may be empty.
    pub lead: String,
    /// Its state, if it has one.
    pub phase: Option<Phase>,
    /// What was done, in a sentence.
    pub notice: Option<&'static str>,
    /// Why nothing was done, in a sentence.
    pub alert: Option<String>,
    /// The next step, as a button.
    pub open: Option<Link>,
    /// What is known about it.
    pub facts: Vec<(&'static str, Cell)>,
    /// Lists and forms.
    pub parts: Vec<Part>,
}

/// An area of the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab {
    /// The address of its first page.
    pub href: &'static str,
    /// Its name.
    pub text: &'static str,
    /// What it is for, in a few words.
    pub what: &'static str,
    /// Whether this page belongs to it.
    pub current: bool,
}

/// A part of a page with a heading.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// Its identifier in the page.
    pub id: &'static str,
    /// The heading; empty for none.
    pub title: &'static str,
    /// A sentence below the heading; may be empty.
    pub lead: String,
    /// What it has.
    pub content: Option<Content>,
    /// Its forms.
    pub forms: Vec<Form>,
}

/// How a form looks, and what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormKind {
    /// It changes something.
    #[default]
    Change,
    /// It creates something.
    Create,
    /// It ends something for good.
    Danger,
    /// It searches: its fields become the query of the address.
    Search,
    /// It has no button of its own. [`Cell::Button`]s of a table submit it.
    OfRows,
}

/// A form.
#[derive(Clone, Debug, Default)]
pub struct Form {
    /// Its identifier in the page.
    pub id: &'static str,
    /// How it looks.
    pub kind: FormKind,
    /// Where it goes.
    pub action: String,
    /// What it does: the field `act`. Empty for a search.
    pub act: &'static str,
    /// A sentence above its fields; may be empty.
    pub lead: String,
    /// Its fields.
    pub fields: Vec<Field>,
    /// The text of its button.
    pub button: &'static str,
}

/// A field of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its label.
    pub label: &'static str,
    /// A sentence below it; may be empty.
    pub hint: String,
    /// Whether it must not be empty.
    pub required: bool,
    /// What can be entered.
    pub input: Input,
}

/// What can be entered in a field.
#[derive(Clone, Debug)]
pub enum Input {
    /// A line of text.
    Text(String),
    /// A day.
    Date(String),
    /// Several lines of text.
    Lines(String),
    /// One of these.
    Select(Vec<Choice>),
    /// Any of these.
    Checks(Vec<Choice>),
    /// Nothing: the value is fixed.
    Hidden(String),
}

/// One of the values of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value.
    pub value: String,
    /// Its name.
    pub label: String,
    /// What it means; may be empty.
    pub hint: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

#[derive(Template)]
#[template(path = "admin/page.html")]
struct PageTemplate<'a> {
    view: &'a AdminView,
    csrf: &'a str,
}

/// A page for administrators. `headers` are those of the request.
#[must_use]
pub fn admin_page(headers: &HeaderMap, status: StatusCode, view: &AdminView) -> Response {
    let csrf = csrf::token(headers);
    csrf.attach(scripted_page(status, &PageTemplate { view, csrf: &csrf.token }))
}
