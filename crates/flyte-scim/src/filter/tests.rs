//! Filters: the grammar, and that the database and this crate decide alike.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::schema::Resource;

fn filter(text: &str) -> Filter {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    for text in [
        "userName eq \"bjensen\"",
        "name.familyName co \"O'Malley\"",
        "urn:ietf:params:scim:schemas:core:2.0:User:userName sw \"J\"",
        "title pr",
        "meta.lastModified gt \"2011-05-13T04:42:34Z\"",
        "title pr and userType eq \"Employee\"",
        "title pr or userType eq \"Intern\"",
        "schemas eq \"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User\"",
        "userType eq \"Employee\" and (emails co \"example.com\" or emails.value co \"example.org\")",
        "userType ne \"Employee\" and not (emails co \"example.com\" or emails.value co \"example.org\")",
        "userType eq \"Employee\" and (emails.type eq \"work\")",
        "userType eq \"Employee\" and emails[type eq \"work\" and value co \"@example.com\"]",
        "emails[type eq \"work\" and value co \"@example.com\"] or phoneNumbers[type eq \"work\"]",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.displayName eq \"J\"",
        "USERNAME Eq \"x\" AND active eq True",
        "not(title pr)",
        "(title eq null) and (active eq true) or emails[primary eq true]",
        "title eq \"a\\\"b\\\\\"",
    ] {
        let parsed = filter(text);
        assert_eq!(filter(&parsed.to_string()), parsed, "{text}");
        split(Resource::User, parsed).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }
    // `and` binds stronger than `or`.
    assert_eq!(filter("a pr or b pr and c pr").to_string(), "(a pr) or ((b pr) and (c pr))");
}

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    for (text, part) in [
        ("", "an attribute is expected at character 0"),
        ("userName", "an operator is expected at character 8"),
        ("userName eq", "a JSON value"),
        ("userName eq bjensen", "a JSON value"),
        ("userName eq \"a", "a JSON value"),
        ("userName eq [1]", "a JSON value"),
        ("userName is \"a\"", "an operator"),
        ("userName eq \"a\" and", "an attribute"),
        ("(userName pr", "a closing parenthesis"),
        ("emails[type pr", "a closing bracket"),
        ("emails[a[b pr]]", "a space and an operator"),
        ("userName pr)", "the end"),
        ("1a pr", "an attribute"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let deep = "(".repeat(50) + "a pr" + &")".repeat(50);
    assert_eq!(parse(&deep), Err(FilterError::TooDeep));
    assert_eq!(parse(&"a".repeat(20_000)), Err(FilterError::TooLong));
}

#[test]
fn unknown_attributes_find_nothing_but_an_error() {
    for text in [
        "unknown eq \"x\"",
        "userName.sub eq \"x\"",
        "title pr or unknown pr",
        "userName pr and unknown pr",
        "emails[unknown eq \"x\"]",
        "title[value eq \"x\"]",
        "urn:x:User:userName eq \"x\"",
        "members.value eq \"x\"",
        "active gt true",
        "active eq \"maybe\"",
        "userName eq 5",
        "meta.created co \"2011\"",
        "meta.created eq \"yesterday\"",
        "groups.display eq \"x\"",
    ] {
        let error = split(Resource::User, filter(text)).unwrap_err();
        assert_eq!(error.scim_type, Some("invalidFilter"), "{text}");
    }
    let error = split(Resource::Group, filter("members.display eq \"x\"")).unwrap_err();
    assert_eq!(error.scim_type, Some("invalidFilter"));
}

#[test]
fn a_filter_is_decided_as_the_rfc_says() {
    let user = json!({
        "userName": "Ada@Example.com",
        "externalId": "E1",
        "active": true,
        "title": "Countess",
        "name": {"familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}, {"value": "a@home.example"}],
        "meta": {"created": "2026-01-01T00:00:00Z"},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "R&D"},
    });
    for (text, expected) in [
        ("userName eq \"ada@example.COM\"", true),
        ("externalId eq \"e1\"", false),
        ("externalId ne \"e1\"", true),
        ("title sw \"count\" and title ew \"ESS\" and title co \"unt\"", true),
        ("title gt \"b\" and title lt \"d\" and title ge \"Countess\" and title le \"countess\"", true),
        ("name.familyName eq \"lovelace\"", true),
        ("emails.type eq \"work\" and emails.value eq \"a@home.example\"", true),
        ("emails[type eq \"work\" and value eq \"a@home.example\"]", false),
        ("emails[not (type pr)]", true),
        ("emails[primary eq \"True\"]", true),
        ("emails co \"HOME\"", true),
        ("nickName pr", false),
        ("nickName ne \"x\"", true),
        ("nickName eq null", true),
        ("title ne null", true),
        ("not (title pr)", false),
        ("active eq \"True\"", true),
        ("active eq false", false),
        ("meta.created ge \"2025-12-31T23:00:00-01:00\"", true),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"r&d\"", true),
        ("phoneNumbers.value eq \"1\"", false),
    ] {
        assert_eq!(filter(text).matches(Resource::User, &user), expected, "{text}");
    }
}

#[test]
fn paths_of_patches_are_read() {
    for (text, name, sub, has_filter) in [
        ("members", "members", None, false),
        ("name.familyName", "name", Some("familyName"), false),
        ("addresses[type eq \"work\"]", "addresses", None, true),
        ("members[value eq \"2819\"].displayName", "members", Some("displayName"), true),
        ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "name", Some("givenName"), false),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "", None, false),
    ] {
        let path = parse_path(text).unwrap();
        let found = (path.attribute.name.as_str(), path.attribute.sub.as_deref(), path.filter.is_some());
        assert_eq!(found, (name, sub, has_filter), "{text}");
        assert_eq!(parse_path(&path.to_string()).unwrap(), path);
    }
    let whole = parse_path(crate::schema::ENTERPRISE).unwrap();
    assert_eq!(
        (whole.attribute.name.as_str(), whole.attribute.schema.as_deref()),
        ("", Some(crate::schema::ENTERPRISE))
    );
    for wrong in ["", "a.b.c", "a[b pr", "a[b pr]c", "a b", "[a pr]", "urn:x:"] {
        assert!(parse_path(wrong).is_err(), "{wrong}");
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9_-]{0,8}".prop_filter("words", |name| {
        !["not", "and", "or", "pr"].iter().any(|word| name.eq_ignore_ascii_case(word))
    })
}

fn literal() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::String),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
    ]
}

fn leaf(with_sub: bool) -> impl Strategy<Value = Filter> {
    let path = || {
        (name(), prop::option::of(name())).prop_map(move |(name, sub)| AttributePath {
            schema: None,
            name,
            sub: sub.filter(|_| with_sub),
        })
    };
    let operator = prop::sample::select(Operator::ALL.to_vec());
    prop_oneof![
        path().prop_map(Filter::Present),
        (path(), operator, literal())
            .prop_map(|(path, operator, value)| Filter::Compare(path, operator, value)),
    ]
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let element = (name(), leaf(false)).prop_map(|(name, inner)| {
        Filter::Element(AttributePath { name, ..AttributePath::default() }, Box::new(inner))
    });
    prop_oneof![leaf(true), element].prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Filter::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(filter in any_filter()) {
        prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_breaks_the_parser(text in any::<String>(), tail in "[a-z\\[\\]()\" .:]{0,40}") {
        for text in [text.clone(), tail.clone(), format!("userName eq {text}"), format!("{tail}{text}")] {
            if let Ok(filter) = parse(&text) {
                prop_assert_eq!(parse(&filter.to_string()), Ok(filter));
            }
            let _ = parse_path(&text);
        }
    }
}
