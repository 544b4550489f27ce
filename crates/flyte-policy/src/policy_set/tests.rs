use super::*;
use flyte_model::Limit;

fn limit(project: &str) -> Limit {
    Limit { project: Some(project.to_owned()).filter(|project| !project.is_empty()), domain: None }
}

fn binding(subject: Subject, role: &str, project: &str) -> Binding {
    Binding { subject, role: role.to_owned(), limit: limit(project) }
}

fn set() -> PolicySet {
    PolicySet::new(PolicyRows {
        generation: 7,
        roles: vec![
            ("operator".to_owned(), Permission::Run.into()),
            // Built-in roles cannot be replaced.
            ("viewer".to_owned(), Permissions::of_role(flyte_model::Role::Admin)),
        ],
        bindings: vec![
            binding(Subject::user("ada"), "viewer", "alpha"),
            binding(Subject::group("ml"), "contributor", "beta"),
            binding(Subject::policy("ops"), "operator", "gamma"),
            binding(Subject::application("ml"), "admin", ""),
            binding(Subject::user("grace"), "unknown", ""),
        ],
        assignments: vec![
            (Subject::group("ml"), "ops".to_owned()),
            (Subject::user("ada"), "ops".to_owned()),
            (Subject::user("grace"), "gone".to_owned()),
            (Subject::policy("ops"), "ops".to_owned()),
        ],
        members: vec![("ml".to_owned(), "ada".to_owned()), ("other".to_owned(), "grace".to_owned())],
    })
}

#[test]
fn people_have_what_they_their_groups_and_their_policies_have() {
    let set = set();
    let ada = Subject::user("ada");
    for (permission, project, expected) in [
        (Permission::ViewRuns, "alpha", true),
        (Permission::Run, "alpha", false),
        (Permission::AdministerProject, "alpha", false),
        (Permission::Deploy, "beta", true),
        (Permission::Run, "gamma", true),
        (Permission::ViewRuns, "gamma", true),
        (Permission::Deploy, "gamma", false),
        (Permission::ViewRuns, "delta", false),
    ] {
        assert_eq!(set.may(&ada, permission, project, Some("d")), expected, "{permission} {project}");
        assert_eq!(set.grants(&ada).may(permission, project, Some("d")), expected, "{permission} {project}");
    }
    assert_eq!((set.generation(), set.groups_of("ada").len()), (7, 1));
}

#[test]
fn no_other_subject_has_anything() {
    let set = set();
    // Subjects of different kinds with the same identifier are different subjects.
    assert!(set.grants(&Subject::application("ml")).may_everywhere(Permission::AdministerServer));
    assert!(!set.grants(&Subject::group("ml")).may_somewhere(Permission::AdministerServer));
    for subject in
        [Subject::user("grace"), Subject::user("ml"), Subject::user(""), Subject::application("ada")]
    {
        assert_eq!(set.grants(&subject), Grants::none(), "{subject:?}");
    }
}
