//! The syntax of the values of settings.

use std::{net::SocketAddr, path::PathBuf};

use url::Url;

use super::LogFormat;
use flyte_model::{ClientId, ClientIdError, Network, ScopeError, Scopes};

/// The type of a value in the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// A string that is a path. A relative path is relative to the directory of the file.
    Path,
    /// An integer.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array of strings. In the environment and on the command line, commas separate the items.
    List,
}

/// The type of a setting.
pub trait Value: Sized {
    /// Its type in the file.
    const FORM: Form;
    /// Its name in the reference page.
    const DESCRIPTION: &'static str;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// What is expected.
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes the value so that [`Value::parse`] reads it.
    fn show(&self) -> String;
}

/// A duration in seconds, written as `90s`, `15m`, `1h`, `30d`, `2w` or a sum, for example `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub i64);

const TIME_UNITS: [(char, i64); 5] = [('w', 7 * 86_400), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Value for Seconds {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "a duration with its unit is expected, for example 60s, 15m, 1h or 30d".to_owned();
        let mut total: i64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let mut tail = tail.chars();
            let unit = tail.next().ok_or_else(wrong)?;
            let (_, seconds) = TIME_UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let number: i64 = number.parse().map_err(|_| wrong())?;
            total = number.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
            rest = tail.as_str();
        }
        if text.is_empty() { Err(wrong()) } else { Ok(Self(total)) }
    }

    fn show(&self) -> String {
        let unit = TIME_UNITS.into_iter().find(|(_, seconds)| self.0 != 0 && self.0 % seconds == 0);
        match unit {
            Some((name, seconds)) => format!("{}{name}", self.0 / seconds),
            None => format!("{}s", self.0),
        }
    }
}

/// A number of bytes, written as `64KiB` or `4MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub usize);

const SIZE_UNITS: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl Value for Bytes {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "size";

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || "a size with its unit is expected, for example 64KiB or 4MiB".to_owned();
        let (number, unit) = SIZE_UNITS
            .into_iter()
            .find_map(|(name, bytes)| text.strip_suffix(name).map(|number| (number, bytes)))
            .ok_or_else(wrong)?;
        let number: usize = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }

    fn show(&self) -> String {
        let unit = SIZE_UNITS.into_iter().find(|(_, bytes)| self.0.is_multiple_of(*bytes));
        match unit {
            Some((name, bytes)) => format!("{}{name}", self.0 / bytes),
            None => format!("{}B", self.0),
        }
    }
}

impl Value for usize {
    const FORM: Form = Form::Number;
    const DESCRIPTION: &'static str = "number";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "a whole number is expected".to_owned())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for bool {
    const FORM: Form = Form::Boolean;
    const DESCRIPTION: &'static str = "true or false";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" | "yes" => Ok(true),
            "false" | "0" | "no" => Ok(false),
            _ => Err("true or false is expected".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for PathBuf {
    const FORM: Form = Form::Path;
    const DESCRIPTION: &'static str = "path";

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a path is expected".to_owned());
        }
        std::path::absolute(text).map_err(|error| error.to_string())
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Value for Url {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "URL";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|error| format!("a URL is expected, for example https://flyte.example.org/: {error}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "address and port";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            "an IP address and a port are expected, for example 127.0.0.1:8443 or [::]:8443".to_owned()
        })
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for ClientId {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: ClientIdError| format!("it {error}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Scopes {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list";

    fn parse(text: &str) -> Result<Self, String> {
        // Items with spaces are several scopes, as in the parameter `scope`.
        text.replace(',', " ").parse().map_err(|error| match error {
            ScopeError::Missing => "it cannot be empty".to_owned(),
            error => error.to_string(),
        })
    }

    fn show(&self) -> String {
        self.to_string().replace(' ', ",")
    }
}

impl Value for Vec<String> {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    fn show(&self) -> String {
        self.join(",")
    }
}

impl Value for Vec<Network> {
    const FORM: Form = Form::List;
    const DESCRIPTION: &'static str = "list of networks";

    fn parse(text: &str) -> Result<Self, String> {
        <Vec<String> as Value>::parse(text)?.iter().map(|network| network.parse()).collect()
    }

    fn show(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// A bucket, and the prefix of the keys of all objects in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// The bucket's name.
    pub bucket: String,
    /// The prefix: empty, or with a slash at its end.
    pub prefix: String,
}

impl std::str::FromStr for BucketUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "the URL of a bucket is expected, for example s3://bucket or s3://bucket/prefix".to_owned();
        let rest = text.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let names_a_bucket = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
        if bucket.is_empty() || !bucket.chars().all(names_a_bucket) {
            return Err(wrong());
        }
        if prefix.len() > 200 || !(prefix.is_empty() || prefix.split('/').all(good)) {
            return Err(wrong());
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }
}

impl std::fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix.trim_end_matches('/')) }
    }
}

impl Value for BucketUrl {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "URL of a bucket";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A setting with a few named values.
macro_rules! choice {
    ($type:ty, $($value:expr => $name:literal),+) => {
        impl Value for $type {
            const FORM: Form = Form::Text;
            const DESCRIPTION: &'static str = concat!("one of" $(, " `", $name, "`")+);

            fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok($value),)+
                    _ => Err(concat!("one of these is expected:" $(, " ", $name)+).to_owned()),
                }
            }

            fn show(&self) -> String {
                match self {
                    $(value if *value == $value => $name,)+
                    _ => "",
                }
                .to_owned()
            }
        }
    };
}

choice!(LogFormat, Self::Text => "text", Self::Json => "json");

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Connections are encrypted.
    On,
    /// Connections are not encrypted.
    Off,
}

choice!(TlsMode, Self::On => "on", Self::Off => "off");

/// Whether the sandbox protects the server's data directory from tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// It does if the kernel supports it.
    Auto,
    /// It does, and no task runs without it.
    Required,
    /// It does not.
    Off,
}

choice!(SandboxMode, Self::Auto => "auto", Self::Required => "required", Self::Off => "off");

/// `alg` of signing keys (RFC 7518 section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA with PKCS #1 v1.5 padding.
    Rs256,
}

choice!(SigningAlgorithm, Self::Es256 => "ES256", Self::EdDsa => "EdDSA", Self::Rs256 => "RS256");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let seconds = |text| Seconds::parse(text).map(|Seconds(seconds)| seconds).ok();
        assert_eq!(seconds("60s"), Some(60));
        assert_eq!(seconds("1h"), Some(3600));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("30d"), Some(2_592_000));
        assert_eq!(seconds("2w"), Some(1_209_600));
        for text in
            ["", "60", "h", "1x", "-1s", "1h30", "1 h", "99999999999999999999s", "9223372036854775807w"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(Bytes::parse("4MiB"), Ok(Bytes(4 << 20)));
        for text in ["", "4", "4MB", "MiB", "-1KiB", "99999999999999999GiB"] {
            assert!(Bytes::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bucket_may_have_a_prefix() {
        for (text, bucket, prefix) in
            [("s3://b", "b", ""), ("s3://b.c-d/", "b.c-d", ""), ("s3://b/x/y/", "b", "x/y/")]
        {
            let url = <BucketUrl as Value>::parse(text).unwrap();
            assert_eq!((url.bucket.as_str(), url.prefix.as_str()), (bucket, prefix), "{text}");
            assert_eq!(<BucketUrl as Value>::parse(&url.show()), Ok(url));
        }
        for text in
            ["", "b", "s3://", "s3:///x", "gs://b", "s3://b/../x", "s3://b//x", "s3://a b", "s3://b/x\0"]
        {
            assert!(<BucketUrl as Value>::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn lists_are_separated_by_commas() {
        assert_eq!(<Vec<String> as Value>::parse("a, b,,c"), Ok(["a", "b", "c"].map(str::to_owned).to_vec()));
        assert_eq!(<Vec<String> as Value>::parse(""), Ok(Vec::new()));
        assert!(<Vec<Network> as Value>::parse("10.0.0.0/8,proxy").is_err());
    }

    #[test]
    fn clients_and_scopes_have_the_grammar_of_requests() {
        assert_eq!(<ClientId as Value>::parse("my flyte").unwrap().show(), "my flyte");
        assert_eq!(<ClientId as Value>::parse(""), Err("it cannot be empty".to_owned()));
        let error = <ClientId as Value>::parse("ada\u{e9}").unwrap_err();
        assert_eq!(error, "it must have only printable ASCII characters");

        for text in ["openid,all", " openid, all,", "openid all", "openid,all,openid"] {
            assert_eq!(<Scopes as Value>::parse(text).unwrap().show(), "openid,all", "{text}");
        }
        for text in ["", ",", " "] {
            assert_eq!(<Scopes as Value>::parse(text), Err("it cannot be empty".to_owned()), "{text:?}");
        }
        assert!(<Scopes as Value>::parse("a\"b").is_err());
    }

    proptest! {
        #[test]
        fn shown_values_parse_to_the_same_value(seconds in 0..i64::MAX, kibibytes in 0..usize::MAX >> 10) {
            prop_assert_eq!(Seconds::parse(&Seconds(seconds).show()), Ok(Seconds(seconds)));
            prop_assert_eq!(Bytes::parse(&Bytes(kibibytes << 10).show()), Ok(Bytes(kibibytes << 10)));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Seconds::parse(&text);
            let _ = Bytes::parse(&text);
            let _ = text.parse::<Network>();
        }
    }
}
