//! The parser of filters and paths: recursive descent over the grammar of RFC 7644, figures 1 and 7.

use serde_json::Value;

use super::{AttributePath, Filter, Operator, TargetPath};

/// The longest filter in bytes. Longer ones come from no known client.
const MAX_BYTES: usize = 16 * 1024;
/// How deep parentheses and brackets may be nested.
const MAX_DEPTH: u32 = 40;

/// A text that is not a filter or a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Something else was expected.
    #[error("{expected} is expected at character {at} of {text:?}")]
    Expected {
        /// What was expected.
        expected: &'static str,
        /// The number of characters before the place.
        at: usize,
        /// The text, cut if it is long.
        text: String,
    },
    /// The text is too long.
    #[error("a filter has at most {MAX_BYTES} bytes")]
    TooLong,
    /// The text is nested too deep.
    #[error("a filter has at most {MAX_DEPTH} levels of parentheses")]
    TooDeep,
}

/// Parses a filter.
///
/// # Errors
/// [`FilterError`].
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser::new(text)?;
    parser.skip_spaces();
    let filter = parser.any(false)?;
    parser.end()?;
    Ok(filter)
}

/// Parses the path of an operation of a PATCH request.
///
/// # Errors
/// [`FilterError`].
pub fn parse_path(text: &str) -> Result<TargetPath, FilterError> {
    let mut parser = Parser::new(text.trim())?;
    let mut attribute = parser.attribute()?;
    let mut filter = None;
    if attribute.sub.is_none() && parser.eat("[") {
        filter = Some(parser.element()?);
        if parser.eat(".") {
            attribute.sub = Some(parser.name()?);
        }
    }
    parser.end()?;
    Ok(TargetPath { attribute, filter })
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, FilterError> {
        if text.len() > MAX_BYTES {
            return Err(FilterError::TooLong);
        }
        Ok(Self { text, rest: text, depth: 0 })
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        let at = self.text[..self.text.len() - self.rest.len()].chars().count();
        FilterError::Expected { expected, at, text: self.text.chars().take(100).collect() }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes a word in any case, which must end there.
    fn eat_word(&mut self, word: &str) -> bool {
        let is_word = self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_$:.".contains(c));
        if !is_word || !ends(&self.rest[word.len()..]) {
            return false;
        }
        self.rest = &self.rest[word.len()..];
        true
    }

    fn end(&mut self) -> Result<(), FilterError> {
        self.skip_spaces();
        if self.rest.is_empty() { Ok(()) } else { Err(self.expected("the end")) }
    }

    fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(FilterError::TooDeep);
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// `or` binds weaker than `and`. Inside of brackets, attributes have no brackets of their own.
    fn any(&mut self, in_element: bool) -> Result<Filter, FilterError> {
        let mut left = self.all(in_element)?;
        loop {
            self.skip_spaces();
            if !self.eat_word("or") {
                return Ok(left);
            }
            self.skip_spaces();
            left = Filter::Or(Box::new(left), Box::new(self.all(in_element)?));
        }
    }

    fn all(&mut self, in_element: bool) -> Result<Filter, FilterError> {
        let mut left = self.one(in_element)?;
        loop {
            self.skip_spaces();
            if !self.eat_word("and") {
                return Ok(left);
            }
            self.skip_spaces();
            left = Filter::And(Box::new(left), Box::new(self.one(in_element)?));
        }
    }

    fn one(&mut self, in_element: bool) -> Result<Filter, FilterError> {
        if self.eat("(") {
            return self.parenthesized(in_element);
        }
        let before = self.rest;
        if self.eat_word("not") {
            self.skip_spaces();
            if self.eat("(") {
                return Ok(Filter::Not(Box::new(self.parenthesized(in_element)?)));
            }
            // An attribute with this name.
            self.rest = before;
        }
        let path = self.attribute()?;
        if !in_element && path.sub.is_none() && self.eat("[") {
            return Ok(Filter::Element(path, Box::new(self.element()?)));
        }
        self.comparison(path)
    }

    fn parenthesized(&mut self, in_element: bool) -> Result<Filter, FilterError> {
        self.nested(|parser| {
            parser.skip_spaces();
            let inner = parser.any(in_element)?;
            parser.skip_spaces();
            if parser.eat(")") { Ok(inner) } else { Err(parser.expected("a closing parenthesis")) }
        })
    }

    /// What follows an opening bracket.
    fn element(&mut self) -> Result<Filter, FilterError> {
        self.nested(|parser| {
            parser.skip_spaces();
            let inner = parser.any(true)?;
            parser.skip_spaces();
            if parser.eat("]") { Ok(inner) } else { Err(parser.expected("a closing bracket")) }
        })
    }

    fn comparison(&mut self, path: AttributePath) -> Result<Filter, FilterError> {
        if !self.rest.starts_with(' ') {
            return Err(self.expected("a space and an operator"));
        }
        self.skip_spaces();
        if self.eat_word("pr") {
            return Ok(Filter::Present(path));
        }
        let operator = Operator::ALL.into_iter().find(|operator| self.eat_word(operator.name()));
        let operator = operator.ok_or_else(|| self.expected("an operator"))?;
        self.skip_spaces();
        Ok(Filter::Compare(path, operator, self.literal()?))
    }

    /// A JSON string, number, boolean or null.
    fn literal(&mut self) -> Result<Value, FilterError> {
        let expected = "a JSON value, for example a text in double quotes,";
        let length = match self.rest.strip_prefix('"') {
            Some(text) => text_length(text).map(|length| length + 1),
            None => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
                self.rest.find(|c| !is_part(c)).or(Some(self.rest.len()))
            }
        };
        let literal = length.map(|length| &self.rest[..length]);
        // Some clients write booleans as in Python.
        let lower = || literal.map(str::to_ascii_lowercase).filter(|text| text == "true" || text == "false");
        let value = literal.and_then(|literal| serde_json::from_str(literal).ok());
        let value = value.or_else(|| serde_json::from_str(&lower()?).ok());
        let (Some(value), Some(length)) = (value, length) else { return Err(self.expected(expected)) };
        self.rest = &self.rest[length..];
        Ok(value)
    }

    /// `[URI ":"] ATTRNAME ["." ATTRNAME]`
    fn attribute(&mut self) -> Result<AttributePath, FilterError> {
        let mut schema = None;
        if self.rest.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) {
            let end = self.rest.find([' ', '[', ']', '(', ')', '"']).unwrap_or(self.rest.len());
            let Some(colon) = self.rest[..end].rfind(':') else { return Err(self.expected("a URN")) };
            let last = &self.rest[colon + 1..end];
            if last.is_empty() {
                return Err(self.expected("a URN with an attribute"));
            }
            // The last part of a URN alone is no attribute: it begins with a capital and names a resource, or a version.
            if last.starts_with(|c: char| c.is_ascii_uppercase()) && !last.contains('.') {
                let schema = self.rest[..end].to_owned();
                self.rest = &self.rest[end..];
                return Ok(AttributePath { schema: Some(schema), ..AttributePath::default() });
            }
            schema = Some(self.rest[..colon].to_owned());
            self.rest = &self.rest[colon + 1..];
        }
        let name = self.name()?;
        let sub = if self.eat(".") { Some(self.name()?) } else { None };
        Ok(AttributePath { schema, name, sub })
    }

    /// `ALPHA *(nameChar)`, or `$ref`.
    fn name(&mut self) -> Result<String, FilterError> {
        let after_sign = self.rest.strip_prefix('$').unwrap_or(self.rest);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !after_sign.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(self.expected("an attribute"));
        }
        let length = after_sign.find(|c| !is_name(c)).unwrap_or(after_sign.len());
        let (name, rest) = self.rest.split_at(self.rest.len() - after_sign.len() + length);
        self.rest = rest;
        Ok(name.to_owned())
    }
}

/// The bytes up to and with the quotation mark that ends a JSON text.
fn text_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
