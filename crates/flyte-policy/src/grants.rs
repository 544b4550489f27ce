//! What one caller may do.

use std::{collections::HashSet, fmt, iter, sync::Arc};

use crate::{Bindings, Permission, Permissions};
use flyte_model::{Limit, Role};

/// What one caller may do: what at least one of its bindings allows, and what all that limits the caller allow as well. For
/// example, an API key may do what its own role allows, but no more than its creator may do now.
///
/// Cloning is cheap.
#[derive(Clone, Default)]
pub struct Grants {
    /// The union of each one, and the intersection of these.
    all: Arc<[Union]>,
}

/// The bindings of a subject itself, of its groups, and of the policies that are assigned to them.
type Union = Box<[Arc<Bindings>]>;

impl Grants {
    /// No rights.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The rights of a built-in role in a part of the control plane.
    #[must_use]
    pub fn of_role(role: Role, limit: &Limit) -> Self {
        Self::of(Permissions::of_role(role), limit)
    }

    /// These permissions in a part of the control plane.
    #[must_use]
    pub fn of(permissions: Permissions, limit: &Limit) -> Self {
        let mut bindings = Bindings::default();
        bindings.add(permissions, limit);
        Self::of_bindings([Arc::new(bindings)])
    }

    /// All that at least one of these bindings allows.
    #[must_use]
    pub fn of_bindings(bindings: impl IntoIterator<Item = Arc<Bindings>>) -> Self {
        let union: Union = bindings.into_iter().collect();
        if union.is_empty() { Self::none() } else { Self { all: [union].into() } }
    }

    /// What these and `other` both allow.
    #[must_use]
    pub fn limited_by(&self, other: &Self) -> Self {
        if self.all.is_empty() || other.all.is_empty() {
            return Self::none();
        }
        Self { all: self.all.iter().chain(&*other.all).cloned().collect() }
    }

    /// The permissions in the intersection, of those that `of` finds in each of the bindings.
    fn intersect(&self, of: impl Fn(&Bindings) -> Permissions) -> Permissions {
        let union =
            |union: &Union| union.iter().fold(Permissions::NONE, |all, bindings| all.union(of(bindings)));
        self.all.iter().map(union).reduce(Permissions::intersection).unwrap_or_default()
    }

    /// The permissions in a project and a domain of it. Without a domain, those in at least one domain.
    #[must_use]
    pub fn permissions_in(&self, project: &str, domain: Option<&str>) -> Permissions {
        self.intersect(|bindings| bindings.permissions_in(project, domain))
    }

    /// The permissions in all of a part of the control plane.
    #[must_use]
    pub fn permissions_over(&self, limit: &Limit) -> Permissions {
        self.intersect(|bindings| bindings.permissions_over(limit))
    }

    /// Whether the caller has a permission in a project and a domain of it. Without a domain: in at least one domain.
    #[must_use]
    pub fn may(&self, permission: Permission, project: &str, domain: Option<&str>) -> bool {
        self.permissions_in(project, domain).contains(permission)
    }

    /// Whether the caller has a permission in all projects and domains.
    #[must_use]
    pub fn may_everywhere(&self, permission: Permission) -> bool {
        self.intersect(Bindings::everywhere).contains(permission)
    }

    /// Whether the caller may have a permission somewhere: `false` if it surely has not.
    #[must_use]
    pub fn may_somewhere(&self, permission: Permission) -> bool {
        self.intersect(Bindings::somewhere).contains(permission)
    }

    /// Whether the caller surely has no permission anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.intersect(Bindings::somewhere).is_empty()
    }

    /// Whether the caller has all these permissions in all of a part of the control plane.
    #[must_use]
    pub fn hold(&self, permissions: Permissions, limit: &Limit) -> bool {
        self.permissions_over(limit).contains_all(permissions)
    }

    /// Whether a project, and a domain of it, are there for the caller: whether it has any permission there.
    #[must_use]
    pub fn sees(&self, project: &str, domain: Option<&str>) -> bool {
        !self.permissions_in(project, domain).is_empty()
    }

    /// Whether the caller has any permission in all projects and domains.
    #[must_use]
    pub fn see_everything(&self) -> bool {
        !self.intersect(Bindings::everywhere).is_empty()
    }

    /// Whether the caller has a permission in a domain of at least one project.
    #[must_use]
    pub fn may_in_domain(&self, permission: Permission, domain: &str) -> bool {
        let is_in = |limit: &Limit| limit.domain.as_deref().is_none_or(|own| own == domain);
        self.may_everywhere(permission) || self.limits(permission).iter().any(is_in)
    }

    /// The domains of a project in which the caller has a permission, sorted, for messages. Of a project that is not named: of all
    /// projects.
    #[must_use]
    pub fn domains_of(&self, project: &str) -> Vec<String> {
        let limits = Permission::ALL.into_iter().flat_map(|permission| self.limits(permission));
        let is_of =
            |own: &Option<String>| project.is_empty() || own.as_deref().is_none_or(|own| own == project);
        let domains = limits.filter(|limit| is_of(&limit.project)).filter_map(|limit| limit.domain);
        let domains: std::collections::BTreeSet<String> = domains.collect();
        domains.into_iter().collect()
    }

    /// Whether the caller may do all that `other` may do.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        self.is_same(other)
            || Permission::ALL.into_iter().filter(|permission| other.may_somewhere(*permission)).all(
                |permission| other.limits(permission).iter().all(|limit| self.hold(permission.into(), limit)),
            )
    }

    /// Whether both are of the same bindings, in the same snapshot.
    fn is_same(&self, other: &Self) -> bool {
        self.all.len() == other.all.len()
            && iter::zip(&*self.all, &*other.all).all(|(one, other)| {
                one.len() == other.len() && iter::zip(one, other).all(|(one, other)| Arc::ptr_eq(one, other))
            })
    }

    /// The parts of the control plane in which the caller has a permission. The default limit alone means everywhere. None is
    /// inside of another.
    #[must_use]
    pub fn limits(&self, permission: Permission) -> Vec<Limit> {
        if self.may_everywhere(permission) {
            return vec![Limit::default()];
        }
        let of = |union: &Union| {
            let limits = union.iter().flat_map(|bindings| bindings.limits(permission).collect::<Vec<_>>());
            let mut limits: Vec<_> = limits.collect();
            limits.sort_by(|a, b| (&a.project, &a.domain).cmp(&(&b.project, &b.domain)));
            limits.dedup();
            limits
        };
        let mut unions = self.all.iter();
        let Some(first) = unions.next() else { return Vec::new() };
        let mut limits = of(first);
        for union in unions {
            let own = of(union);
            limits = limits.iter().flat_map(|one| own.iter().filter_map(|other| meet(one, other))).collect();
        }
        without_covered(limits)
    }

    /// The strongest built-in role that the caller has in all of a part of the control plane.
    #[must_use]
    pub fn role_over(&self, limit: &Limit) -> Option<Role> {
        let own = self.permissions_over(limit);
        Role::ALL.into_iter().rev().find(|role| own.contains_all(Permissions::of_role(*role)))
    }

    /// The weakest built-in role with all permissions that the caller has in a project and a domain of it.
    #[must_use]
    pub fn role_that_includes(&self, project: &str, domain: &str) -> Role {
        let own = self.permissions_in(project, Some(domain));
        let includes = |role: &Role| Permissions::of_role(*role).contains_all(own);
        Role::ALL.into_iter().find(includes).unwrap_or(Role::Admin)
    }

    /// The only part of the control plane in which the caller has rights; `None` if there are several or none.
    #[must_use]
    pub fn only_limit(&self) -> Option<Limit> {
        let permissions = Permission::ALL.into_iter().filter(|permission| self.may_somewhere(*permission));
        let limits = permissions.flat_map(|permission| self.limits(permission)).collect();
        match <[Limit; 1]>::try_from(without_covered(limits)) {
            Ok([limit]) => Some(limit),
            Err(_) => None,
        }
    }

    /// Where the caller has a permission, in words: "everywhere", "in project \"p\" and in domain \"d\" of project \"q\"".
    #[must_use]
    pub fn describe(&self, permission: Permission) -> String {
        /// The most parts that are named.
        const NAMED: usize = 5;
        let limits = self.limits(permission);
        let named = limits.iter().take(NAMED).map(|limit| match (&limit.project, &limit.domain) {
            (None, None) => "everywhere".to_owned(),
            (None, Some(domain)) => format!("in domain {domain:?} of all projects"),
            (Some(project), None) => format!("in project {project:?}"),
            (Some(project), Some(domain)) => format!("in project {project:?} and domain {domain:?}"),
        });
        let named: Vec<_> = named.collect();
        match limits.len().saturating_sub(NAMED) {
            _ if named.is_empty() => "nowhere".to_owned(),
            0 => named.join(", "),
            others => format!("{} and in {others} other places", named.join(", ")),
        }
    }
}

/// What is in both parts of the control plane; `None` if nothing is.
fn meet(one: &Limit, other: &Limit) -> Option<Limit> {
    let both = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (Some(name), _) | (None, Some(name)) => Some(Some(name.clone())),
        (None, None) => Some(None),
    };
    Some(Limit { project: both(&one.project, &other.project)?, domain: both(&one.domain, &other.domain)? })
}

/// Leaves out what another one includes, and sorts them.
fn without_covered(mut limits: Vec<Limit>) -> Vec<Limit> {
    let all: HashSet<(Option<String>, Option<String>)> =
        limits.iter().map(|limit| (limit.project.clone(), limit.domain.clone())).collect();
    let has = |project: Option<&String>, domain: Option<&String>| {
        all.contains(&(project.cloned(), domain.cloned()))
    };
    limits.retain(|Limit { project, domain }| {
        let (project, domain) = (project.as_ref(), domain.as_ref());
        match (project, domain) {
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => !has(None, None),
            (Some(_), Some(_)) => !has(None, None) && !has(project, None) && !has(None, domain),
        }
    });
    limits.sort_by(|a, b| (&a.project, &a.domain).cmp(&(&b.project, &b.domain)));
    limits.dedup();
    limits
}

/// Whether both allow the same.
impl PartialEq for Grants {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.cover(other) && other.cover(self))
    }
}

impl Eq for Grants {}

/// Each permission, and where the caller has it.
impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = Permission::ALL.into_iter().filter(|permission| self.may_somewhere(*permission));
        f.debug_map().entries(held.map(|permission| (permission.name(), self.describe(permission)))).finish()
    }
}

#[cfg(test)]
mod tests;
