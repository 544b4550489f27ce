//! The configuration file: TOML in which every key is a setting.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    ConfigError,
    load::providers::{key_in_section, key_of},
    provider,
    setting::AnySetting,
    settings::{ALL, PROVIDER, SECTIONS},
    value::Form,
};

/// The section whose sections are providers.
const PROVIDERS: &str = "providers";

/// The entry of one setting in the file.
#[derive(Debug)]
pub(super) struct Entry {
    /// The provider that the setting belongs to.
    pub(super) provider: Option<String>,
    pub(super) key: &'static str,
    pub(super) text: String,
    pub(super) line: usize,
}

/// Reads the file. `required` decides whether a missing file is an error.
pub(super) fn read(path: &Path, required: bool) -> Result<Option<Vec<Entry>>, Vec<ConfigError>> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => Ok(None),
        Err(source) => Err(vec![ConfigError::Unreadable { path: path.to_owned(), source }]),
    }
}

fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, Vec<ConfigError>> {
    let document = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let message = error.message().to_owned();
        vec![ConfigError::Syntax { path: path.to_owned(), line: line_of(text, start), message }]
    })?;
    let mut reader = Reader { path, text, entries: Vec::new(), errors: Vec::new() };
    reader.table("", document.get_ref());
    if reader.errors.is_empty() { Ok(reader.entries) } else { Err(reader.errors) }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    entries: Vec<Entry>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = line_of(self.text, name.span().start);
            let name = name.get_ref().as_ref();
            let key = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            let is_section = SECTIONS.iter().any(|(section, _)| *section == key);
            match (ALL.iter().find(|setting| setting.key() == key), value.get_ref()) {
                (Some(setting), value) => self.entry(None, *setting, value, line),
                (None, DeValue::Table(table)) if key == PROVIDERS => self.providers(table),
                (None, DeValue::Table(table)) if is_section => self.table(&key, table),
                (None, value) if is_section || key == PROVIDERS => self.no_section(key, value, line),
                (None, _) => {
                    let suggestion = suggestion(&key);
                    self.errors.push(ConfigError::UnknownKey {
                        path: self.path.to_owned(),
                        line,
                        key,
                        suggestion,
                    });
                }
            }
        }
    }

    /// Reads the sections of providers.
    fn providers(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let line = line_of(self.text, name.span().start);
            let name = name.get_ref().as_ref();
            let section = format!("{PROVIDERS}.{name}");
            let DeValue::Table(table) = value.get_ref() else {
                self.no_section(section, value.get_ref(), line);
                continue;
            };
            if !provider::is_name(name) {
                let reason = "a name of lower-case letters, digits and hyphens is expected, for example corp"
                    .to_owned();
                let (path, value) = (self.path.to_owned(), name.to_owned());
                self.errors.push(ConfigError::InvalidInFile { path, line, key: section, value, reason });
                continue;
            }
            for (key, value) in table {
                let line = line_of(self.text, key.span().start);
                let key = key.get_ref().as_ref();
                match PROVIDER.iter().find(|setting| key_in_section(**setting) == key) {
                    Some(setting) => self.entry(Some(name), *setting, value.get_ref(), line),
                    None => {
                        let (path, key) = (self.path.to_owned(), format!("{section}.{key}"));
                        self.errors.push(ConfigError::UnknownKey { path, line, key, suggestion: None });
                    }
                }
            }
        }
    }

    fn no_section(&mut self, key: String, value: &DeValue<'_>, line: usize) {
        let (expected, found) = ("a section", value.type_str());
        self.errors.push(ConfigError::WrongType { path: self.path.to_owned(), line, key, expected, found });
    }

    fn entry(&mut self, provider: Option<&str>, setting: &dyn AnySetting, value: &DeValue<'_>, line: usize) {
        let path = self.path.to_owned();
        let key = provider.map_or_else(|| setting.key().to_owned(), |name| key_of(name, setting));
        let provider = provider.map(str::to_owned);
        match text_of(setting.form(), value, self.path) {
            Some(text) => match setting.canonical(&text) {
                Ok(_) => self.entries.push(Entry { provider, key: setting.key(), text, line }),
                Err(reason) => {
                    self.errors.push(ConfigError::InvalidInFile { path, line, key, value: text, reason });
                }
            },
            None => {
                let expected = match setting.form() {
                    Form::Text | Form::Path => "a string",
                    Form::Number => "an integer",
                    Form::Boolean => "a boolean",
                    Form::List => "an array of strings without commas",
                };
                let found = value.type_str();
                self.errors.push(ConfigError::WrongType { path, line, key, expected, found });
            }
        }
    }
}

/// Returns the value as the environment variable would have it, or `None` if its type is wrong.
fn text_of(form: Form, value: &DeValue<'_>, file: &Path) -> Option<String> {
    match (form, value) {
        (Form::Text, DeValue::String(text)) => Some(text.to_string()),
        (Form::Path, DeValue::String(text)) if text.is_empty() => Some(String::new()),
        (Form::Path, DeValue::String(text)) => {
            let directory = file.parent().unwrap_or(Path::new(""));
            let path: PathBuf = directory.join(text.as_ref());
            Some(path.to_string_lossy().into_owned())
        }
        (Form::Number, DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
        }
        (Form::Boolean, DeValue::Boolean(value)) => Some(value.to_string()),
        (Form::List, DeValue::Array(items)) => {
            let items: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str().filter(|text| !text.contains(','))).collect();
            items.map(|items| items.join(","))
        }
        _ => None,
    }
}

/// Returns the setting that was probably meant: one whose key differs in case, in `_` for `-`, or in its section.
fn suggestion(key: &str) -> Option<&'static str> {
    let plain = |key: &str| key.to_lowercase().replace('_', "-");
    let wanted = plain(key);
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let keys = || ALL.iter().map(|setting| setting.key());
    keys()
        .find(|known| plain(known) == wanted)
        .or_else(|| keys().find(|known| last(known) == last(&wanted) || known.replace('.', "-") == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> Vec<String> {
        let errors = parse(Path::new("/etc/flyte-server.toml"), text).unwrap_err();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_are_read_with_their_lines() {
        let text = "# a comment\nlisten = \"127.0.0.1:1\"\n\n[tokens]\naccess-token-ttl = \"2h\"\n[tls]\n\
                    host-names = [\"a\", \"b\"]\nkey-file = \"k.pem\"\n[http]\nmax-connections = 0x10\n";
        let entries = parse(Path::new("/etc/flyte-server.toml"), text).unwrap();
        let entries: Vec<_> = entries.iter().map(|e| (e.key, e.text.as_str(), e.line)).collect();
        assert!(entries.contains(&("listen", "127.0.0.1:1", 2)));
        assert!(entries.contains(&("tokens.access-token-ttl", "2h", 5)));
        assert!(entries.contains(&("tls.host-names", "a,b", 7)));
        assert!(entries.contains(&("tls.key-file", "/etc/k.pem", 8)));
        assert!(entries.contains(&("http.max-connections", "16", 10)));
    }

    #[test]
    fn every_error_names_file_line_and_key() {
        let found = errors(
            "lisen = \"x\"\norg = 3\n[tokens]\naccess_token_ttl = \"1h\"\nrefresh-token-ttl = \"1\"\n",
        );
        assert_eq!(found.len(), 4, "{found:#?}");
        let found = found.join("\n");
        assert!(found.contains("/etc/flyte-server.toml:1: there is no setting \"lisen\""), "{found}");
        assert!(found.contains("/etc/flyte-server.toml:2: \"org\" is an integer, but a string"), "{found}");
        assert!(
            found.contains(":4: there is no setting \"tokens.access_token_ttl\"; did you mean"),
            "{found}"
        );
        assert!(found.contains(":5: \"tokens.refresh-token-ttl\" is \"1\": a duration"), "{found}");
    }

    #[test]
    fn a_syntax_error_has_its_line() {
        let found = errors("org = \"a\"\nlisten =\n");
        assert!(found[0].starts_with("/etc/flyte-server.toml:2: "), "{found:?}");
    }

    #[test]
    fn a_section_is_not_a_value() {
        assert!(errors("tls = \"off\"\n")[0].contains("\"tls\" is a string, but a section"));
    }
}
