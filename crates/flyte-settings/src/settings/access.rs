//! `access`: what accounts may do.

use crate::setting::{Default::Value, Setting};

/// The values of [`ACCESS_DEFAULT_ROLE`].
const ROLES: [&str; 3] = ["contributor", "viewer", "none"];

/// [`AccessConfig::default_role`](crate::AccessConfig::default_role).
pub static ACCESS_DEFAULT_ROLE: Setting<String> = Setting {
    key: "access.default-role",
    flag: None,
    placeholder: "ROLE",
    default: Value("contributor"),
    help: "Role that a new account gets in all projects and domains if nothing else is said: `contributor`, `viewer` or `none`. \
           Existing accounts keep their roles.",
    check: |role| match ROLES.contains(&role.as_str()) {
        true => Ok(()),
        false => Err(format!("one of {} is expected", ROLES.join(", "))),
    },
};
