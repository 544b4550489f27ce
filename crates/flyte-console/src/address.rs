//! The addresses of pages, as clients print them.

use flyte_pages::{Link, encode};

use crate::place::Place;

/// The page of a project in a domain.
pub(crate) fn project(place: &Place) -> String {
    format!("/v2/domain/{}/project/{}", encode(&place.domain), encode(&place.project))
}

/// A page of something in a project and domain; `kind` is `runs`, `tasks`, `apps` or `triggers`.
pub(crate) fn of(place: &Place, kind: &str, name: &str) -> String {
    format!("{}/{kind}/{}", project(place), encode(name))
}

/// The page of an action, which is a page of its run.
pub(crate) fn action(place: &Place, run: &str, action: &str) -> String {
    let run = of(place, "runs", run);
    match action {
        ROOT => run,
        action => format!("{run}?i={}", encode(action)),
    }
}

/// The page of a trigger.
pub(crate) fn trigger(place: &Place, task: &str, name: &str) -> String {
    format!("{}/{}", of(place, "triggers", task), encode(name))
}

/// The action that a run begins with.
pub(crate) const ROOT: &str = "a0";

/// The links from the home page to a page of a project.
pub(crate) fn crumbs(place: &Place, kind: Option<(&str, &str)>) -> Vec<Link> {
    let project = project(place);
    let mut crumbs = vec![
        Link { href: "/".to_owned(), text: "Home".to_owned() },
        Link { href: project.clone(), text: format!("{} · {}", place.project, place.domain) },
    ];
    if let Some((kind, title)) = kind {
        crumbs.push(Link { href: format!("{project}/{kind}"), text: title.to_owned() });
    }
    crumbs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_part_of_the_address() {
        let place = Place { project: "p/../q".to_owned(), domain: "d?x".to_owned() };
        assert_eq!(of(&place, "runs", "a b#c"), "/v2/domain/d%3Fx/project/p%2F..%2Fq/runs/a%20b%23c");
        assert_eq!(action(&place, "r", "a&b"), "/v2/domain/d%3Fx/project/p%2F..%2Fq/runs/r?i=a%26b");
        assert_eq!(action(&place, "r", ROOT), of(&place, "runs", "r"));
    }
}
