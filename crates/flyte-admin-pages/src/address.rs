//! The addresses of pages.

use flyte_pages::encode;

/// The page of one thing in an area; `area` is the path of the area.
pub(crate) fn of(area: &str, id: &str) -> String {
    format!("{area}/{}", encode(id))
}

/// A path with the parts of a query that are not empty.
pub(crate) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let parts = query.iter().filter(|(_, value)| !value.is_empty());
    let parts: Vec<_> = parts.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    match parts.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", parts.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_part_of_the_address() {
        assert_eq!(of("/admin/users", "a/../b?c#d"), "/admin/users/a%2F..%2Fb%3Fc%23d");
        assert_eq!(with_query("/admin/users", &[("q", "a&b=c"), ("role", "")]), "/admin/users?q=a%26b%3Dc");
        assert_eq!(with_query("/admin/users", &[("q", "")]), "/admin/users");
    }
}
