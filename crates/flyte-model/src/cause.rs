//! The cause of an error.

use std::error::Error;

/// The innermost cause of an error. The outer errors of a request often only say that it failed.
#[must_use]
pub fn innermost_cause(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the request failed")]
    struct Failed(#[source] std::io::Error);

    #[test]
    fn the_innermost_error_is_the_cause() {
        let refused = || std::io::Error::other("connection refused");
        assert_eq!(innermost_cause(&Failed(refused())), "connection refused");
        assert_eq!(innermost_cause(&refused()), "connection refused");
    }
}
