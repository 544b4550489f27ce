use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::key;

fn open(text: &str) -> Document {
    Document::parse(text.to_owned(), Path::new("config.yaml")).unwrap()
}

fn set(text: &str, key: &Key, setting: Setting<'_>) -> String {
    let mut document = open(text);
    document.set(key, setting).unwrap_or_else(|error| panic!("{error}\n{text}"));
    document.text().to_owned()
}

const DEVICE: Setting<'_> = Setting::Text("DeviceFlow");

#[test]
fn a_new_document_is_written_in_the_order_of_the_edits() {
    let mut document = open("");
    document.set(key::AUTH_TYPE, DEVICE).unwrap();
    document.set(key::ENDPOINT, Setting::Text("dns:///acme.example.com")).unwrap();
    document.set(key::IMAGE_BUILDER, Setting::Text("local")).unwrap();
    document.set(key::TRACKED, Setting::Boolean(true)).unwrap();
    assert_eq!(
        document.text(),
        "admin:\n  authType: DeviceFlow\n  endpoint: dns:///acme.example.com\nimage:\n  builder: local\nlocal:\n  tracked: true\n"
    );
}

#[test]
fn comments_order_quoting_and_unknown_keys_stay() {
    let text = "\
# our config
logger: {level: 5}   # another tool's
admin:
    # where we are
    endpoint: 'dns:///old.example.com' # do not touch
    authType: \"Pkce\"
    retries: 0x10

task: &defaults
    org: acme
copy: *defaults
";
    let changed = set(text, key::ENDPOINT, Setting::Text("dns:///new.example.com"));
    assert_eq!(changed, text.replace("'dns:///old.example.com'", "dns:///new.example.com"));
    let changed = set(text, key::INSECURE, Setting::Boolean(true));
    assert_eq!(changed, text.replace("0x10\n", "0x10\n    insecure: true\n"));
    let changed = set(text, key::TRACKED, Setting::Boolean(true));
    assert_eq!(changed, format!("{text}local:\n  tracked: true\n"));
    assert_eq!(set(text, key::AUTH_TYPE, Setting::Text("Pkce")), text);
}

#[test]
fn every_shape_of_a_section_is_filled_in() {
    for (text, expected) in [
        ("# only a comment\n", "# only a comment\nadmin:\n  authType: DeviceFlow\n"),
        ("---\n", "---\nadmin:\n  authType: DeviceFlow\n"),
        ("task:\n  org: a", "task:\n  org: a\nadmin:\n  authType: DeviceFlow\n"),
        ("admin:\n", "admin:\n  authType: DeviceFlow\n"),
        ("admin: # to do\ntask: {}\n", "admin: # to do\n  authType: DeviceFlow\ntask: {}\n"),
        ("admin:\n  authType:   # pick\n", "admin:\n  authType: DeviceFlow   # pick\n"),
        ("admin:\n  authType: ~\n", "admin:\n  authType: DeviceFlow\n"),
        ("admin: {}\n", "admin: {authType: DeviceFlow}\n"),
        ("admin: {insecure: true}\n", "admin: {insecure: true, authType: DeviceFlow}\n"),
        ("admin: {authType: Pkce, insecure: true}\n", "admin: {authType: DeviceFlow, insecure: true}\n"),
        ("admin:\r\n  insecure: true\r\n", "admin:\r\n  insecure: true\r\n  authType: DeviceFlow\r\n"),
        ("  admin:\n     insecure: true\n", "  admin:\n     insecure: true\n     authType: DeviceFlow\n"),
        (
            "admin:\n  scopes:\n  - a\n  - b # last\n",
            "admin:\n  scopes:\n  - a\n  - b # last\n  authType: DeviceFlow\n",
        ),
        (
            "admin:\n  note: |\n    text\n\n    more\ntask: {}\n",
            "admin:\n  authType: DeviceFlow\n  note: |\n    text\n\n    more\ntask: {}\n",
        ),
        ("base: &b Pkce\nadmin:\n  authType: *b\n", "base: &b Pkce\nadmin:\n  authType: DeviceFlow\n"),
        (
            "base: &b {authType: Pkce}\nadmin:\n  <<: *b\n",
            "base: &b {authType: Pkce}\nadmin:\n  <<: *b\n  authType: DeviceFlow\n",
        ),
    ] {
        assert_eq!(set(text, key::AUTH_TYPE, DEVICE), expected, "{text:?}");
    }
}

#[test]
fn what_would_touch_something_else_is_refused_and_changes_nothing() {
    for text in [
        "{admin: {authType: Pkce}}\n",
        "admin: &a\n  authType: &mode Pkce\nother: *mode\n",
        "base: &b {}\nadmin: *b\n",
        "admin: text\n",
        "admin: ~\n",
        "admin:\n  authType: |\n    Pkce\n",
        "admin:\n  authType: [Pkce]\n",
        "task: {}\n...\n",
    ] {
        let mut document = open(text);
        let error = document.set(key::AUTH_TYPE, DEVICE).unwrap_err();
        assert!(error.to_string().contains("admin.authType cannot be changed in place"), "{error}");
        assert!(error.to_string().starts_with("config.yaml:"), "{error}");
        assert_eq!(document.text(), text);
    }
}

#[test]
fn removing_keeps_comments_and_neighbours() {
    for (text, expected) in [
        ("admin:\n  authType: Pkce\n  endpoint: h\n", "admin:\n  endpoint: h\n"),
        ("admin:\n  endpoint: h\n  authType: Pkce # why\n", "admin:\n  endpoint: h\n  # why\n"),
        ("admin:\n  endpoint: h\n  authType: Pkce", "admin:\n  endpoint: h\n"),
        ("admin:\n  authType: Pkce\ntask: {}\n", "admin:\ntask: {}\n"),
        ("admin:\n  endpoint: h\n", "admin:\n  endpoint: h\n"),
        ("task: {}\n", "task: {}\n"),
        ("", ""),
    ] {
        let mut document = open(text);
        document.remove(key::AUTH_TYPE).unwrap();
        assert_eq!(document.text(), expected);
    }
    let mut document = open("admin: {authType: Pkce}\n");
    assert!(document.remove(key::AUTH_TYPE).is_err());
    let mut document = open("admin:\n  authType: &m Pkce\n  x: *m\n");
    assert!(document.remove(key::AUTH_TYPE).is_err());
}

#[test]
fn text_reads_back_as_itself() {
    for text in
        ["true", "42", "", "a: b", "# x", "it's", "a\nb", "\u{1f980}", "- x", "[a]", "\u{0}", "\u{feff}x"]
    {
        let changed = set("admin: {}\ntask:\n  org: a\n", key::PROJECT, Setting::Text(text));
        assert_eq!(open(&changed).get(key::PROJECT), Some(text), "{changed}");
    }
}

#[test]
fn a_malformed_file_is_not_opened() {
    let error = Document::parse("admin: [\n".to_owned(), Path::new("config.yaml")).unwrap_err();
    assert!(error.to_string().starts_with("config.yaml:"), "{error}");
}

#[test]
fn a_file_is_created_edited_and_saved() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".flyte/config.yaml");
    let mut document = Document::open(&path).unwrap();
    document.set(key::ENDPOINT, Setting::Text("dns:///localhost")).unwrap();
    document.save().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "admin:\n  endpoint: dns:///localhost\n");
    assert_eq!(Document::open(&path).unwrap().get(key::ENDPOINT), Some("dns:///localhost"));
}

/// A configuration in block form with comments, blank lines and keys of other tools.
fn files() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "[a-z][a-z0-9]{0,6}",
        "'[a-z #:]{0,6}'",
        "\"[a-z #:]{0,6}\"",
        Just("[a, b]".to_owned()),
        Just("{a: b}".to_owned()),
        Just(String::new()),
        Just("|\n      block\n      text".to_owned()),
    ];
    let names = prop::sample::subsequence(vec!["endpoint", "authType", "retries", "x-y", "insecure"], 0..=5);
    let comment = prop_oneof![Just(""), Just(" # note")];
    let section = (names, prop::collection::vec((scalar, comment), 5), any::<bool>());
    let sections = prop::sample::subsequence(vec!["admin", "task", "logger", "image"], 0..=4);
    (sections, prop::collection::vec(section, 4)).prop_map(|(sections, contents)| {
        let mut text = String::new();
        for (section, (names, values, blank)) in sections.iter().zip(contents) {
            text.push_str(&format!("{section}:\n"));
            for (name, (value, comment)) in names.iter().zip(values) {
                let comment = if value.contains('|') { "" } else { comment };
                text.push_str(&format!("  # about {name}\n  {name}: {value}{comment}\n"));
            }
            if blank {
                text.push('\n');
            }
        }
        text
    })
}

/// Every scalar of two levels, as (section.name -> text), without `except`.
fn flat(document: &Document, except: &str) -> BTreeMap<String, String> {
    let tree = &document.tree;
    let mut all = BTreeMap::new();
    let Some(Kind::Mapping { entries, .. }) = tree.root().map(|root| &tree.node(root).kind) else {
        return all;
    };
    for (section_key, section) in entries {
        let Kind::Mapping { entries, .. } = &tree.node(*section).kind else { continue };
        for (name, value) in entries {
            let full = format!("{}.{}", tree.text(*section_key).unwrap(), tree.text(*name).unwrap());
            let span = tree.node(*value).span.clone();
            all.insert(full, tree.text(*value).unwrap_or(&document.text[span]).to_owned());
        }
    }
    all.remove(except);
    all
}

#[test]
fn words_are_a_list_in_one_line() {
    let words = ["a b", "true", "x: [1]", "--plain=1"].map(str::to_owned);
    let changed = set("admin:\n  endpoint: h # ours\n", key::COMMAND, Setting::Words(&words));
    assert_eq!(changed, "admin:\n  endpoint: h # ours\n  command: ['a b', 'true', 'x: [1]', '--plain=1']\n");
    assert_eq!(set(&changed, key::COMMAND, Setting::Words(&words)), changed);
}

proptest! {
    #[test]
    fn an_edit_changes_one_key_and_nothing_else(text in files(), value in "\\PC{0,12}") {
        let mut document = open(&text);
        let before = flat(&document, "admin.authType");
        let comments = document.tree.comments.clone();
        if document.set(key::AUTH_TYPE, Setting::Text(&value)).is_ok() {
            prop_assert_eq!(document.get(key::AUTH_TYPE), Some(value.as_str()));
            let again = open(document.text());
            prop_assert_eq!(flat(&again, "admin.authType"), before);
            prop_assert_eq!(&again.tree.comments, &comments);
            let old_lines = text.lines().filter(|line| !line.trim_start().starts_with("authType:"));
            for line in old_lines {
                prop_assert!(again.text().lines().any(|other| other == line), "{line:?} is gone");
            }
        } else {
            prop_assert_eq!(document.text(), text.as_str());
        }
    }

    #[test]
    fn a_removal_changes_one_key_and_nothing_else(text in files()) {
        let mut document = open(&text);
        let before = flat(&document, "admin.authType");
        if document.remove(key::AUTH_TYPE).is_ok() {
            prop_assert_eq!(document.get(key::AUTH_TYPE), None);
            prop_assert_eq!(flat(&open(document.text()), ""), before);
        } else {
            prop_assert_eq!(document.text(), text.as_str());
        }
    }

    #[test]
    fn opening_and_editing_anything_never_panics(text in "[ \\na-c:#&*<>|\\[\\]{},'\"!?~%.-]{0,40}") {
        for text in [text.clone(), format!("admin:\n  authType:{text}\n"), format!("admin:{text}\n")] {
            if let Ok(mut document) = Document::parse(text.clone(), Path::new("config.yaml")) {
                let before = document.text().to_owned();
                if document.set(key::AUTH_TYPE, Setting::Text("DeviceFlow")).is_err() {
                    prop_assert_eq!(document.text(), before.as_str());
                }
                let _ = document.remove(key::AUTH_TYPE);
            }
        }
    }
}

#[test]
fn an_edit_by_another_program_is_not_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, "task:\n  project: p\n").unwrap();
    let mut one = Document::open(&path).unwrap();
    let mut two = Document::open(&path).unwrap();
    one.set(key::DOMAIN, Setting::Text("d")).unwrap();
    two.set(key::ORG, Setting::Text("o")).unwrap();
    one.save().unwrap();
    assert!(matches!(two.save(), Err(ConfigError::ChangedMeanwhile { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), one.text());
}
