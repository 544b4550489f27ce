//! When keys are published, used, retired and dropped: a decision on plain data.

use crate::{
    clock::UnixTime,
    config::TokenConfig,
    store::{KeyState, SealedSigningKey},
};

/// For how long a key is published before it signs, in seconds, unless keys rotate faster than that allows: whoever
/// caches the JWKS for no longer has every key by the time that it is used.
pub const PUBLISH_LEAD: i64 = 3600;

/// Allowance for clocks that disagree, in seconds, added to the longest token's life.
const RETIREMENT_MARGIN: i64 = 300;

/// The rules, in seconds.
pub(super) struct Policy<'a> {
    algorithm: &'a str,
    rotation_interval: i64,
    publish_lead: i64,
    retirement: i64,
}

impl<'a> Policy<'a> {
    pub(super) fn of(config: &'a TokenConfig) -> Self {
        Self {
            algorithm: &config.signing_algorithm,
            rotation_interval: config.key_rotation_interval,
            publish_lead: PUBLISH_LEAD.min(config.key_rotation_interval / 2),
            retirement: config.access_token_ttl.saturating_add(RETIREMENT_MARGIN),
        }
    }
}

/// What is to become of the keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advance {
    /// The keys that stay, in their new states.
    pub(super) keys: Vec<SealedSigningKey>,
    /// The state of the key to make, if one is to be made.
    pub(super) create: Option<KeyState>,
    /// Whether anything differs from before.
    pub(super) changed: bool,
}

/// Decides what the keys should be at `now`.
pub(super) fn advance(keys: &[SealedSigningKey], policy: &Policy<'_>, now: UnixTime) -> Advance {
    let mut next: Vec<SealedSigningKey> =
        keys.iter().filter(|key| !is_over(key, policy, now)).cloned().collect();
    let mut create = None;
    let successor =
        next.iter().position(|key| key.state == KeyState::Published && key.algorithm == policy.algorithm);
    match next.iter().position(|key| key.state == KeyState::Active) {
        None => match successor {
            Some(successor) => enter(&mut next[successor], KeyState::Active, now),
            None => create = Some(KeyState::Active),
        },
        Some(active) => {
            let due = next[active].state_since.saturating_add(policy.rotation_interval);
            // A change of the configured algorithm makes the rotation due at once, with the usual lead.
            let due = if next[active].algorithm == policy.algorithm { due } else { now };
            match successor {
                None if now >= due.saturating_sub(policy.publish_lead) => create = Some(KeyState::Published),
                Some(successor)
                    if now >= due
                        && now >= next[successor].state_since.saturating_add(policy.publish_lead) =>
                {
                    enter(&mut next[active], KeyState::Retired, now);
                    enter(&mut next[successor], KeyState::Active, now);
                }
                _ => {}
            }
        }
    }
    let changed = create.is_some() || next != keys;
    Advance { keys: next, create, changed }
}

/// Makes way for a new key that signs at once: what rotation by hand does.
pub(super) fn supersede(keys: &[SealedSigningKey], now: UnixTime) -> Advance {
    let mut next = keys.to_vec();
    for key in next.iter_mut().filter(|key| key.state == KeyState::Active) {
        enter(key, KeyState::Retired, now);
    }
    Advance { keys: next, create: Some(KeyState::Active), changed: true }
}

/// Drops every key for a new one that signs at once: what is done when a key has leaked.
pub(super) fn start_over() -> Advance {
    Advance { keys: Vec::new(), create: Some(KeyState::Active), changed: true }
}

/// Whether nothing can need the key any more.
fn is_over(key: &SealedSigningKey, policy: &Policy<'_>, now: UnixTime) -> bool {
    match key.state {
        KeyState::Retired => now >= key.state_since.saturating_add(policy.retirement),
        // Published for an algorithm that was configured for a while, and never used.
        KeyState::Published => {
            key.algorithm != policy.algorithm
                && now >= key.state_since.saturating_add(policy.rotation_interval)
        }
        KeyState::Active => false,
    }
}

fn enter(key: &mut SealedSigningKey, state: KeyState, now: UnixTime) {
    key.state = state;
    key.state_since = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy<'_> =
        Policy { algorithm: "ES256", rotation_interval: 10_000, publish_lead: 1000, retirement: 3900 };

    fn key(id: &str, algorithm: &str, state: KeyState, since: UnixTime) -> SealedSigningKey {
        SealedSigningKey {
            id: id.to_owned(),
            algorithm: algorithm.to_owned(),
            sealed_private_key: Vec::new(),
            state,
            created_at: since,
            state_since: since,
        }
    }

    fn states(advance: &Advance) -> Vec<(&str, KeyState)> {
        advance.keys.iter().map(|key| (key.id.as_str(), key.state)).collect()
    }

    #[test]
    fn the_first_key_signs_at_once() {
        let first = advance(&[], &POLICY, 50);
        assert_eq!((first.create, first.changed), (Some(KeyState::Active), true));
    }

    #[test]
    fn a_key_walks_through_its_life() {
        let mut keys = vec![key("a", "ES256", KeyState::Active, 0)];
        assert!(!advance(&keys, &POLICY, 8999).changed);

        assert_eq!(advance(&keys, &POLICY, 9000).create, Some(KeyState::Published));
        keys.push(key("b", "ES256", KeyState::Published, 9000));

        assert!(!advance(&keys, &POLICY, 9999).changed);
        let switched = advance(&keys, &POLICY, 10_000);
        assert_eq!(states(&switched), [("a", KeyState::Retired), ("b", KeyState::Active)]);
        assert_eq!(switched.create, None);

        let keys = switched.keys;
        assert!(!advance(&keys, &POLICY, 13_899).changed);
        let dropped = advance(&keys, &POLICY, 13_900);
        assert_eq!(states(&dropped), [("b", KeyState::Active)]);
    }

    #[test]
    fn a_late_successor_is_still_published_for_its_lead() {
        // The server was down when the rotation was due.
        let keys = [key("a", "ES256", KeyState::Active, 0), key("b", "ES256", KeyState::Published, 50_000)];
        assert!(!advance(&keys, &POLICY, 50_999).changed);
        assert_eq!(
            states(&advance(&keys, &POLICY, 51_000)),
            [("a", KeyState::Retired), ("b", KeyState::Active)]
        );
    }

    #[test]
    fn another_algorithm_is_phased_in() {
        let mut keys = vec![key("a", "RS256", KeyState::Active, 0)];
        assert_eq!(advance(&keys, &POLICY, 10).create, Some(KeyState::Published));
        keys.push(key("b", "ES256", KeyState::Published, 10));
        assert!(!advance(&keys, &POLICY, 1009).changed, "the old key signs until the new one is known");
        assert_eq!(
            states(&advance(&keys, &POLICY, 1010)),
            [("a", KeyState::Retired), ("b", KeyState::Active)]
        );
    }

    #[test]
    fn an_orphaned_successor_takes_over() {
        let keys = [key("b", "ES256", KeyState::Published, 10)];
        let next = advance(&keys, &POLICY, 11);
        assert_eq!((states(&next), next.create), (vec![("b", KeyState::Active)], None));
    }

    #[test]
    fn rotation_by_hand_retires_the_active_key() {
        let keys = [key("a", "ES256", KeyState::Active, 0), key("b", "ES256", KeyState::Published, 0)];
        let next = supersede(&keys, 5);
        assert_eq!(states(&next), [("a", KeyState::Retired), ("b", KeyState::Published)]);
        assert_eq!(next.create, Some(KeyState::Active));
    }
}
