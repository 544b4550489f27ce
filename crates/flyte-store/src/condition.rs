//! Conditions of listings: a field, and what it is compared with.

/// What each item of a listing must meet. `F` names the fields that the listing can be narrowed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<F> {
    /// The field.
    pub field: F,
    /// How its value is looked at.
    pub test: Test,
    /// The test is to fail.
    pub negated: bool,
}

/// How a field's value is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// It is one of these texts.
    OneOf(Vec<String>),
    /// It has this text in it.
    Contains(String),
    /// It has this text in it, whatever the case of its ASCII letters.
    ContainsIgnoringCase(String),
    /// It ends with this text.
    EndsWith(String),
    /// It is this number or a greater one.
    AtLeast(i64),
    /// It is a greater number.
    MoreThan(i64),
}
