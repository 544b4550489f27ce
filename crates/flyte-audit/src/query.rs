//! Checks of queries of the audit log.

use std::net::IpAddr;

use super::Kind;
use flyte_settings::settings;
use flyte_store::AuditQuery;

/// An invalid condition, which no record could meet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct WrongCondition {
    /// The condition.
    pub field: &'static str,
    /// The problem.
    pub problem: String,
}

/// Returns the query with normalized conditions: empty ones are removed, and the address has its canonical form.
///
/// # Errors
/// [`WrongCondition`].
pub fn check(mut query: AuditQuery) -> Result<AuditQuery, WrongCondition> {
    let wrong = |field, problem: String| Err(WrongCondition { field, problem });
    let texts = [
        &mut query.event,
        &mut query.subject,
        &mut query.email,
        &mut query.object,
        &mut query.project,
        &mut query.domain,
        &mut query.address,
    ];
    for text in texts {
        if text.as_ref().is_some_and(String::is_empty) {
            *text = None;
        }
    }
    if let Some(event) = &query.event
        && !Kind::ALL.iter().any(|kind| kind.as_str() == event)
    {
        let all: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        return wrong("event", format!("is not one of {}", all.join(", ")));
    }
    if let Some(email) = &query.email
        && settings::email(email).is_err()
    {
        return wrong("email", format!("is not an e-mail address: {email:?}"));
    }
    if let Some(address) = &query.address {
        match address.parse::<IpAddr>() {
            Ok(ip) => query.address = Some(ip.to_canonical().to_string()),
            Err(_) => return wrong("address", format!("is not an IP address: {address:?}")),
        }
    }
    for (field, moment) in [("since", query.since), ("until", query.until)] {
        if moment.is_some_and(|moment| moment < 0) {
            return wrong(field, "is before 1970".to_owned());
        }
    }
    match (query.since, query.until) {
        (Some(since), Some(until)) if until <= since => wrong("until", "is not after since".to_owned()),
        _ => Ok(query),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_conditions_are_named() {
        let text = |text: &str| Some(text.to_owned());
        for (query, told) in [
            (
                AuditQuery { event: text("signedin"), ..AuditQuery::default() },
                "event is not one of signed_in, ",
            ),
            (
                AuditQuery { email: text("ada"), ..AuditQuery::default() },
                "email is not an e-mail address: \"ada\"",
            ),
            (AuditQuery { address: text("10.0.0"), ..AuditQuery::default() }, "address is not an IP address"),
            (AuditQuery { since: Some(-1), ..AuditQuery::default() }, "since is before 1970"),
            (AuditQuery { until: Some(-1), ..AuditQuery::default() }, "until is before 1970"),
            (
                AuditQuery { since: Some(5), until: Some(5), ..AuditQuery::default() },
                "until is not after since",
            ),
        ] {
            let wrong = check(query.clone()).unwrap_err().to_string();
            assert!(wrong.starts_with(told), "{query:?}: {wrong}");
        }
    }

    #[test]
    fn conditions_are_normalized() {
        for (given, kept) in [
            ("", None),
            ("203.0.113.9", Some("203.0.113.9")),
            ("2001:DB8:0::1", Some("2001:db8::1")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
        ] {
            let query = AuditQuery { address: Some(given.to_owned()), ..AuditQuery::default() };
            assert_eq!(check(query).unwrap().address.as_deref(), kept, "{given}");
        }
    }
}
