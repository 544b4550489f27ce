//! Request parameters: `application/x-www-form-urlencoded`, in a query or in a body (RFC 6749 appendix B).

use std::borrow::Cow;

use url::form_urlencoded;

/// The maximum size of an authorization request, in bytes. Clients need far less. `/login` must be able to carry it
/// in a URL together with the mark (8 KiB at most).
pub const MAX_QUERY_BYTES: usize = 7 * 1024;
/// The maximum number of parameters in a request.
const MAX_PARAMETERS: usize = 64;

/// The reason for refusing parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The bytes are not UTF-8. If they were replaced, the returned `state` would differ from the sent one.
    #[error("a parameter is not UTF-8")]
    NotUtf8,
    /// There are more parameters than any client sends.
    #[error("too many parameters")]
    TooMany,
    /// A known parameter is repeated (RFC 6749 section 3.1), so two readers could use different values.
    #[error("parameter {0} is repeated")]
    Repeated(&'static str),
}

/// Decoded parameters. There is no `Debug`, because some are secrets.
#[derive(Clone)]
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Decodes a query or a form.
    ///
    /// # Errors
    /// [`ParameterError::NotUtf8`] and [`ParameterError::TooMany`].
    pub fn parse(input: &'a [u8]) -> Result<Self, ParameterError> {
        let mut pairs = Vec::new();
        for (name, value) in form_urlencoded::parse(input) {
            // The decoder writes U+FFFD for bytes that are not UTF-8. No client sends that character on purpose.
            if name.contains('\u{FFFD}') || value.contains('\u{FFFD}') {
                return Err(ParameterError::NotUtf8);
            }
            if pairs.len() == MAX_PARAMETERS {
                return Err(ParameterError::TooMany);
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Returns the value of a parameter that must not be repeated. A parameter without a value counts as absent (RFC
    /// 6749 section 3.1).
    ///
    /// # Errors
    /// [`ParameterError::Repeated`]. Unknown parameters may be repeated: they are ignored.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, ParameterError> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_ref());
        let value = values.next();
        if values.next().is_some() {
            return Err(ParameterError::Repeated(name));
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    /// Returns all parameters, unchanged and in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Returns the values of a parameter that may be repeated, for example `resource` (RFC 8707 section 2).
    pub fn all<'b>(&'b self, name: &'static str) -> impl Iterator<Item = &'b str> {
        self.0
            .iter()
            .filter(move |(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }
}

/// Appends `name=value` to the query of `url`, which has no fragment. The rest of the URL does not change.
pub fn append(url: &mut String, name: &str, value: &str) {
    let separator = match url.find('?') {
        None => "?",
        Some(_) if url.ends_with(['?', '&']) => "",
        Some(_) => "&",
    };
    url.push_str(separator);
    url.push_str(name);
    url.push('=');
    url.push_str(&flyte_pages::encode(value));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(input: &str) -> Parameters<'_> {
        Parameters::parse(input.as_bytes()).unwrap()
    }

    #[test]
    fn a_value_is_decoded_and_an_empty_one_is_absent() {
        let parameters = parse("a=1+2%2B%C3%A9&b=&c&=d&e=f=g");
        assert_eq!(parameters.one("a"), Ok(Some("1 2+é")));
        assert_eq!(parameters.one("b"), Ok(None));
        assert_eq!(parameters.one("c"), Ok(None));
        assert_eq!(parameters.one("e"), Ok(Some("f=g")));
        assert_eq!(parameters.one("z"), Ok(None));
    }

    #[test]
    fn only_repeated_known_parameters_are_refused() {
        let parameters = parse("a=1&a=1&b=&b=2&r=x&r=&r=y");
        assert_eq!(parameters.one("a"), Err(ParameterError::Repeated("a")));
        assert_eq!(parameters.one("b"), Err(ParameterError::Repeated("b")));
        assert_eq!(parameters.all("r").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(parameters.one("c"), Ok(None));
    }

    #[test]
    fn values_that_cannot_be_returned_unchanged_are_refused() {
        assert_eq!(Parameters::parse(b"state=%FF").err(), Some(ParameterError::NotUtf8));
        assert_eq!(Parameters::parse(b"%C3=1").err(), Some(ParameterError::NotUtf8));
        assert_eq!(Parameters::parse(b"state=\xff").err(), Some(ParameterError::NotUtf8));
        let many = "a=1&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(Parameters::parse(many.as_bytes()).err(), Some(ParameterError::TooMany));
    }

    #[test]
    fn appending_keeps_the_existing_query() {
        for (before, after) in [
            ("http://localhost/cb", "http://localhost/cb?state=a%20b"),
            ("http://localhost/cb?", "http://localhost/cb?state=a%20b"),
            ("http://localhost/cb?x=1", "http://localhost/cb?x=1&state=a%20b"),
            ("http://localhost/cb?x=1&", "http://localhost/cb?x=1&state=a%20b"),
        ] {
            let mut url = before.to_owned();
            append(&mut url, "state", "a b");
            assert_eq!(url, after);
        }
    }

    proptest! {
        #[test]
        fn any_input_is_parsed_or_refused(input in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(parameters) = Parameters::parse(&input) {
                let _ = parameters.one("state");
                prop_assert!(parameters.all("state").count() <= MAX_PARAMETERS);
            }
        }

        #[test]
        fn a_value_survives_the_round_trip(value in "[^\u{FFFD}]{1,64}", other in "[^\u{FFFD}]{0,16}") {
            let mut url = String::from("http://localhost/cb");
            append(&mut url, "other", &other);
            append(&mut url, "state", &value);
            prop_assert!(url.is_ascii());
            prop_assert!(!url[url.find('?').unwrap()..].contains(['+', ' ', '#', '"', '\r', '\n']));
            let query = url.split_once('?').unwrap().1;
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            prop_assert_eq!(parameters.one("state"), Ok(Some(value.as_str())));
        }
    }
}
