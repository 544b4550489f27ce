//! Conditions of listings: a field and a test of its value.

/// A condition that each item of a listing must meet. `F` names the fields that the listing can be filtered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition<F> {
    /// The field.
    pub field: F,
    /// The test of the field's value.
    pub test: Test,
    /// Whether the test must fail.
    pub negated: bool,
}

/// A test of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The value is one of these texts.
    OneOf(Vec<String>),
    /// The value contains this text.
    Contains(String),
    /// The value contains this text; the case of ASCII letters is ignored.
    ContainsIgnoringCase(String),
    /// The value ends with this text.
    EndsWith(String),
    /// The value is this number or greater.
    AtLeast(i64),
    /// The value is greater than this number.
    MoreThan(i64),
}
