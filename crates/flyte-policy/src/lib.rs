//! Permissions, roles and policies: decides in memory who may do what, and where.
//!
//! A [`Binding`] gives a subject the permissions of a role in a part of the control plane. A subject is a user, a group, an
//! application (an API key), or a policy: a named list of bindings that is assigned to the other three. A caller may do what at
//! least one of its bindings allows, and nothing else. There are no denials, so the order of bindings has no meaning, and
//! adding one never takes something away. Groups do not contain groups.
//!
//! [`PolicySet`] is an immutable snapshot of all bindings. [`Grants`] are those of one caller: what the services and the door
//! ask. `docs/reference/policies.md` says why this is a table of our own, and not a policy language.
#![forbid(unsafe_code)]

mod binding;
mod bindings;
mod grants;
mod permission;
mod permissions;
mod policy_set;
mod role;

pub use binding::{Binding, Subject, SubjectKind};
pub use bindings::Bindings;
pub use grants::Grants;
pub use permission::{Permission, UnknownPermission};
pub use permissions::Permissions;
pub use policy_set::{PolicyRows, PolicySet};
pub use role::{RoleNameError, builtin, check_role_name};
