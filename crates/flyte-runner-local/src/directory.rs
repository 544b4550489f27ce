//! The directories of attempts.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use flyte_store::ActionId;

/// The directory of an attempt: `DATA/attempts/PROJECT/DOMAIN/RUN/ACTION/NUMBER`.
#[must_use]
pub fn of_attempt(data_dir: &Path, action: &ActionId, attempt: u32) -> PathBuf {
    let mut path = data_dir.join("attempts");
    for name in [&action.run.project, &action.run.domain, &action.run.name, &action.name] {
        path.push(component(name));
    }
    path.join(attempt.to_string())
}

/// Escapes a name for use as one component of a path. Different names have different components.
#[must_use]
pub fn component(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'.' if at > 0 => escaped.push('.'),
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => escaped.push(char::from(byte)),
            // Writing to a string never fails.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
    }
    if escaped.is_empty() { "%".to_owned() } else { escaped }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use flyte_store::RunId;

    #[test]
    fn each_attempt_has_its_own_directory() {
        let run = RunId { project: "p".to_owned(), domain: "development".to_owned(), name: "r1".to_owned() };
        let action = ActionId { run, name: "../a0".to_owned() };
        let path = of_attempt(Path::new("/data"), &action, 2);
        assert_eq!(path, Path::new("/data/attempts/p/development/r1/%2E.%2Fa0/2"));
    }

    proptest! {
        #[test]
        fn a_name_is_one_component(one in ".{0,9}", other in ".{0,9}") {
            let path = Path::new("/data").join(component(&one));
            prop_assert_eq!(path.parent(), Some(Path::new("/data")));
            prop_assert_eq!(path.components().count(), 3);
            prop_assert_eq!(one == other, component(&one) == component(&other));
        }
    }
}
