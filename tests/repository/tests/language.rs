//! The words of `words.txt` do not occur. Until all are gone, `words-allowed.txt` has a number for each directory that only
//! sinks; `INSTA_UPDATE=always cargo test -p flyte-repository --test language` lowers the numbers to what is left.

use std::{collections::BTreeMap, env, fmt::Write as _, fs};

use flyte_repository::{files, root};

/// A word or phrase that the project does not use.
struct Rule {
    phrase: Vec<String>,
    instead: String,
    /// Longer phrases in which it is right.
    exceptions: Vec<Vec<String>>,
}

/// The rules of `words.txt`.
fn rules() -> Vec<Rule> {
    let phrase = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let text = fs::read_to_string(root().join("tests/repository/words.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let exceptions = cells.get(2).map(|cell| cell.split(',').map(phrase).collect());
            Rule {
                phrase: phrase(cells[0]),
                instead: cells[1].to_owned(),
                exceptions: exceptions.unwrap_or_default(),
            }
        })
        .collect()
}

/// A word of a text.
struct Word {
    /// In lower case.
    text: String,
    line: usize,
    /// Whether only spaces, line breaks, marks of comments or the joints of a name are between it and the word before.
    joined: bool,
}

/// The words of a text. A name such as `nobody_waits` or `NobodyWaits` has several.
fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let (mut word, mut line, mut joined, mut after_lower) = (String::new(), 1, true, false);
    for c in text.chars().chain(['\n']) {
        let starts_a_word = c.is_uppercase() && after_lower;
        if (!c.is_alphanumeric() || starts_a_word) && !word.is_empty() {
            words.push(Word { text: std::mem::take(&mut word), line, joined });
            joined = true;
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        } else {
            joined &= c.is_whitespace() || matches!(c, '/' | '!' | '#' | '*' | '_' | '\\');
        }
        line += usize::from(c == '\n');
        after_lower = c.is_lowercase();
    }
    words
}

/// Whether the phrase begins at this word.
fn begins(words: &[Word], at: usize, phrase: &[String]) -> bool {
    let Some(words) = words.get(at..at + phrase.len()) else { return false };
    words
        .iter()
        .zip(phrase)
        .enumerate()
        .all(|(i, (word, text))| word.text == *text && (i == 0 || word.joined))
}

/// The lines of the text on which a rule is broken, and the rule.
fn found<'r>(text: &str, rules: &'r [Rule]) -> Vec<(usize, &'r Rule)> {
    let words = words(text);
    let mut found = Vec::new();
    for at in 0..words.len() {
        for rule in rules.iter().filter(|rule| begins(&words, at, &rule.phrase)) {
            let is_right = rule.exceptions.iter().any(|exception| {
                (0..exception.len()).any(|offset| {
                    exception[offset..].starts_with(&rule.phrase)
                        && at.checked_sub(offset).is_some_and(|start| begins(&words, start, exception))
                })
            });
            if !is_right {
                found.push((words[at].line, rule));
            }
        }
    }
    found
}

/// Whether the file is ours and is for people to read.
fn is_read(file: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "rs", "py", "pyi", "md", "toml", "html", "css", "js", "mjs", "sql", "sh", "yml", "yaml", "snap",
        "proto", "service", "txt",
    ];
    // Copied from the published packages, or the list itself and its test.
    const NOT_OURS: &[&str] = &[
        "proto/flyteidl2/",
        "proto/google/",
        "proto/cloudidl/",
        "LICENSE",
        "tests/repository/words",
        "tests/repository/tests/language.rs",
    ];
    let name = file.rsplit('/').next().unwrap();
    let is_script = !name.contains('.') && !file.starts_with("fuzz/seeds/");
    let ending = name.rsplit('.').next().unwrap();
    (is_script || ENDINGS.contains(&ending)) && !NOT_OURS.iter().any(|path| file.starts_with(path))
}

#[test]
fn the_words_are_found() {
    let rules = rules();
    let lines = |text| found(text, &rules).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(lines("fn nobody_waits() {}\nstruct NobodyWaits;\n/// NOBODY."), [1, 2, 3]);
    assert_eq!(lines("/// The caller is\n/// told so.\n// It is. Told so."), [1]);
    assert_eq!(lines("It stands for the key.\nIt stands here."), [2]);
    assert_eq!(lines("An anybody, a commend, a nobodyx."), [0_usize; 0]);
}

#[test]
fn the_words_do_not_occur() {
    let rules = rules();
    let allowed_file = root().join("tests/repository/words-allowed.txt");
    let allowed: BTreeMap<String, usize> = fs::read_to_string(&allowed_file)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(directory, count)| (directory.to_owned(), count.parse().unwrap()))
        .collect();

    let mut places = BTreeMap::<_, Vec<String>>::new();
    for file in files().into_iter().filter(|file| is_read(file)) {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        let directory = file.split_once('/').map_or(".", |(directory, _)| directory).to_owned();
        for (line, rule) in found(&text, &rules) {
            let place = format!("{file}:{line}: \"{}\": {}", rule.phrase.join(" "), rule.instead);
            places.entry(directory.clone()).or_default().push(place);
        }
    }
    if env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        let mut text = String::new();
        for (directory, places) in &places {
            let count = allowed.get(directory).map_or(places.len(), |allowed| places.len().min(*allowed));
            writeln!(text, "{directory} {count}").unwrap();
        }
        fs::write(&allowed_file, text).unwrap();
        return;
    }
    let mut too_many = String::new();
    for (directory, places) in places {
        let allowed = allowed.get(&directory).copied().unwrap_or(0);
        if places.len() > allowed {
            writeln!(too_many, "{directory} has {} places, {allowed} are allowed:", places.len()).unwrap();
            writeln!(too_many, "{}", places.join("\n")).unwrap();
        }
    }
    assert!(too_many.is_empty(), "write what tests/repository/words.txt says instead\n{too_many}");
}
