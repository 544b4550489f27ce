//! Where listings may look.

use flyte_access::Caller;
use flyte_model::Limit;
use flyte_policy::Permission;

/// The project and domain of a listing, and the parts of the control plane that the caller may see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Visible {
    pub(super) project: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) only_in: Option<Vec<Limit>>,
}

impl Visible {
    /// Nothing at all.
    pub(super) fn nothing() -> Self {
        Self { only_in: Some(Vec::new()), ..Self::default() }
    }

    /// What a request that names this project and domain may list; an empty one means all. `None` if nothing.
    pub(super) fn to(caller: &Caller, permission: Permission, project: &str, domain: &str) -> Option<Self> {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (project, domain) = (given(project), given(domain));
        let limits = caller.grants.limits(permission);
        match <[Limit; 1]>::try_from(limits) {
            // One part is a condition like that of the request, for which there are indexes.
            Ok([limit]) => {
                let both = |wanted: Option<String>, own: Option<String>| match (wanted, own) {
                    (Some(wanted), Some(own)) if wanted != own => None,
                    (wanted, own) => Some(wanted.or(own)),
                };
                let (project, domain) = (both(project, limit.project)?, both(domain, limit.domain)?);
                Some(Self { project, domain, only_in: None })
            }
            Err(limits) => {
                let covers = |own: &Option<String>, wanted: &Option<String>| {
                    wanted.is_none() || own.is_none() || own == wanted
                };
                let limits = limits
                    .into_iter()
                    .filter(|limit| covers(&limit.project, &project) && covers(&limit.domain, &domain));
                let limits: Vec<_> = limits.collect();
                (!limits.is_empty()).then_some(Self { project, domain, only_in: Some(limits) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyte_model::Role;
    use flyte_policy::{Bindings, Grants, Permissions};

    fn limit(project: &str, domain: &str) -> Limit {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Limit { project: given(project), domain: given(domain) }
    }

    fn visible(parts: &[(&str, &str)], project: &str, domain: &str) -> Option<Visible> {
        let mut bindings = Bindings::default();
        for (project, domain) in parts {
            bindings.add(Permissions::of_role(Role::Viewer), &limit(project, domain));
        }
        let grants = Grants::of_bindings([std::sync::Arc::new(bindings)]);
        Visible::to(&Caller { grants, ..Caller::for_test() }, Permission::ViewRuns, project, domain)
    }

    fn found(project: &str, domain: &str, only_in: Option<&[Limit]>) -> Option<Visible> {
        let Limit { project, domain } = limit(project, domain);
        Some(Visible { project, domain, only_in: only_in.map(<[Limit]>::to_vec) })
    }

    #[test]
    fn listings_look_where_the_caller_may() {
        assert_eq!(visible(&[], "", ""), None);
        assert_eq!(visible(&[("", "")], "p", ""), found("p", "", None));
        assert_eq!(visible(&[("p", "d")], "", ""), found("p", "d", None));
        assert_eq!(visible(&[("p", "")], "q", ""), None);
        assert_eq!(visible(&[("", "d")], "q", ""), found("q", "d", None));
        let two = [("p", ""), ("q", "d")];
        assert_eq!(visible(&two, "", ""), found("", "", Some(&[limit("p", ""), limit("q", "d")])));
        assert_eq!(visible(&two, "q", ""), found("q", "", Some(&[limit("q", "d")])));
        assert_eq!(visible(&two, "", "e"), found("", "e", Some(&[limit("p", "")])));
        assert_eq!(visible(&two, "q", "e"), None);
        assert_eq!(visible(&two, "r", ""), None);
    }
}
