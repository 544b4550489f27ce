use proptest::prelude::*;

use super::*;

fn limit(project: &str, domain: &str) -> Limit {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Limit { project: given(project), domain: given(domain) }
}

fn grants(parts: &[(Role, &str, &str)]) -> Grants {
    let mut bindings = Bindings::default();
    for (role, project, domain) in parts {
        bindings.add(Permissions::of_role(*role), &limit(project, domain));
    }
    Grants::of_bindings([Arc::new(bindings)])
}

#[test]
fn nothing_is_allowed_without_a_binding() {
    let none = Grants::none();
    for permission in Permission::ALL {
        assert!(!none.may(permission, "p", Some("d")) && !none.may_everywhere(permission));
        assert!(!none.may_somewhere(permission) && none.limits(permission).is_empty());
    }
    assert!(!none.sees("p", None) && none.only_limit().is_none());
    let all = Grants::of_role(Role::Admin, &Limit::default());
    assert_eq!(none.limited_by(&all), none);
    assert_eq!(all.limited_by(&none), none);
}

#[test]
fn a_role_applies_where_it_was_given() {
    let own = grants(&[(Role::Contributor, "a", ""), (Role::Viewer, "b", "dev"), (Role::Viewer, "", "prod")]);
    for (permission, project, domain, expected) in [
        (Permission::Run, "a", Some("dev"), true),
        (Permission::Run, "b", Some("dev"), false),
        (Permission::ViewRuns, "b", Some("dev"), true),
        (Permission::ViewRuns, "b", Some("staging"), false),
        (Permission::ViewRuns, "b", None, true),
        (Permission::ViewRuns, "c", Some("prod"), true),
        (Permission::ViewRuns, "c", Some("dev"), false),
        (Permission::Run, "c", Some("prod"), false),
        (Permission::AdministerProject, "a", None, false),
    ] {
        assert_eq!(own.may(permission, project, domain), expected, "{permission} {project} {domain:?}");
    }
    assert!(own.sees("c", None) && !own.sees("c", Some("dev")));
    assert_eq!(own.role_over(&limit("a", "")), Some(Role::Contributor));
    assert_eq!(own.role_over(&limit("b", "")), None);
    assert_eq!(own.role_that_includes("a", "dev"), Role::Contributor);
    assert_eq!(own.role_that_includes("b", "dev"), Role::Viewer);
    assert_eq!(own.limits(Permission::Run), [limit("a", "")]);
    assert_eq!(own.limits(Permission::ViewRuns), [limit("", "prod"), limit("a", ""), limit("b", "dev")]);
    assert_eq!(own.only_limit(), None);
    assert_eq!(
        grants(&[(Role::Viewer, "a", ""), (Role::Viewer, "a", "d")]).only_limit(),
        Some(limit("a", ""))
    );
}

#[test]
fn a_creator_limits_a_key() {
    let key = grants(&[(Role::Contributor, "", "")]);
    let creator = grants(&[(Role::Contributor, "a", ""), (Role::Viewer, "b", ""), (Role::Admin, "c", "dev")]);
    let own = key.limited_by(&creator);
    assert!(own.may(Permission::Run, "a", Some("dev")) && !own.may(Permission::Run, "b", Some("dev")));
    assert!(own.may(Permission::Run, "c", Some("dev")) && !own.may(Permission::AdministerProject, "c", None));
    assert!(!own.may_everywhere(Permission::ViewRuns));
    assert_eq!(own.limits(Permission::Run), [limit("a", ""), limit("c", "dev")]);
    assert!(creator.cover(&own) && key.cover(&own) && !own.cover(&creator) && !own.cover(&key));
    // In all projects' domain on one side, in a project on the other.
    let both = grants(&[(Role::Viewer, "", "dev")]).limited_by(&grants(&[(Role::Viewer, "a", "")]));
    assert_eq!(both.limits(Permission::ViewRuns), [limit("a", "dev")]);
}

#[test]
fn places_are_described() {
    assert_eq!(grants(&[(Role::Viewer, "", "")]).describe(Permission::ViewRuns), "everywhere");
    assert_eq!(grants(&[(Role::Viewer, "", "")]).describe(Permission::Run), "nowhere");
    let some = grants(&[(Role::Viewer, "a", ""), (Role::Viewer, "b", "d"), (Role::Viewer, "", "e")]);
    let text = "in domain \"e\" of all projects, in project \"a\", in project \"b\" and domain \"d\"";
    assert_eq!(some.describe(Permission::ViewRuns), text);
    let names: Vec<_> = (0..7).map(|n| format!("p{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (Role::Viewer, name.as_str(), "")).collect();
    assert!(grants(&many).describe(Permission::ViewRuns).ends_with("\"p4\" and in 2 other places"));
}

fn part() -> impl Strategy<Value = (Role, &'static str, &'static str)> {
    let role = prop::sample::select(Role::ALL.to_vec());
    (role, prop::sample::select(vec!["", "a", "b"]), prop::sample::select(vec!["", "d", "e"]))
}

fn parts() -> impl Strategy<Value = Vec<(Role, &'static str, &'static str)>> {
    prop::collection::vec(part(), 0..5)
}

/// The same decision, from the bindings themselves.
fn is_allowed(parts: &[(Role, &str, &str)], permission: Permission, project: &str, domain: &str) -> bool {
    parts.iter().any(|(role, own, own_domain)| {
        Permissions::of_role(*role).contains(permission)
            && (own.is_empty() || *own == project)
            && (own_domain.is_empty() || *own_domain == domain)
    })
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_bindings(one in parts(), other in parts()) {
        let (a, b) = (grants(&one), grants(&other));
        let both = a.limited_by(&b);
        for permission in Permission::ALL {
            let limits = both.limits(permission);
            for project in ["a", "b", "c"] {
                for domain in ["d", "e", "f"] {
                    let expected = is_allowed(&one, permission, project, domain)
                        && is_allowed(&other, permission, project, domain);
                    prop_assert_eq!(both.may(permission, project, Some(domain)), expected);
                    prop_assert_eq!(limits.iter().any(|limit| limit.includes(project, Some(domain))), expected);
                    prop_assert!(!expected || both.may(permission, project, None));
                    prop_assert!(!expected || both.may_somewhere(permission));
                }
            }
            prop_assert!(limits.iter().all(|limit| both.hold(permission.into(), limit)));
        }
        prop_assert!(a.cover(&both) && b.cover(&both));
        if a.cover(&b) {
            prop_assert_eq!(&both, &b);
        }
    }
}
