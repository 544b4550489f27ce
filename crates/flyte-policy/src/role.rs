//! Names of roles.

use crate::Permissions;
use flyte_model::Role;

/// The longest name of a role, a policy or a group, in bytes.
const MAX_NAME: usize = 63;

/// A name that a role, a policy or a group cannot have. The message completes a sentence that begins with the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleNameError {
    /// It has other characters, or is too short or too long.
    #[error(
        "must have 1 to 63 lower-case letters, digits and hyphens, and begin and end with a letter or digit"
    )]
    Malformed,
    /// It is the name of a built-in role.
    #[error("is the name of a built-in role")]
    BuiltIn,
}

/// The permissions of the built-in role with this name.
#[must_use]
pub fn builtin(name: &str) -> Option<Permissions> {
    name.parse::<Role>().ok().map(Permissions::of_role)
}

/// Checks the name of a custom role.
///
/// # Errors
/// [`RoleNameError`].
pub fn check_role_name(name: &str) -> Result<(), RoleNameError> {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let is_name = bytes.len() <= MAX_NAME
        && bytes.first().copied().is_some_and(is_alphanumeric)
        && bytes.last().copied().is_some_and(is_alphanumeric)
        && bytes.iter().all(|byte| is_alphanumeric(*byte) || *byte == b'-');
    match builtin(name) {
        Some(_) => Err(RoleNameError::BuiltIn),
        None if is_name => Ok(()),
        None => Err(RoleNameError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_not_those_of_built_in_roles() {
        for name in ["a", "ml-ops", "2nd", &"a".repeat(63)] {
            assert_eq!(check_role_name(name), Ok(()), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a b", "a/b", "a\u{202e}b", "\u{430}", &"a".repeat(64)] {
            assert_eq!(check_role_name(name), Err(RoleNameError::Malformed), "{name}");
        }
        assert_eq!(check_role_name("admin"), Err(RoleNameError::BuiltIn));
    }
}
