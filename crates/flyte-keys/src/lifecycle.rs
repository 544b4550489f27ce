//! Decides when keys are published, used, retired and removed; works on plain data.

use super::RS256;
use flyte_model::clock::UnixTime;
use flyte_settings::TokenConfig;
use flyte_store::{KeyState, SealedSigningKey};

/// How long a key is published before it signs, in seconds, unless the rotation interval is too short. Verifiers that
/// cache the JWKS for at most this time have every key before it is used.
pub const PUBLISH_LEAD: i64 = 3600;

/// Tolerance for clocks that differ, in seconds, added to the lifetime of the longest token.
const RETIREMENT_MARGIN: i64 = 300;

/// The rules; times are in seconds.
pub(super) struct Policy<'a> {
    /// `alg` of the key that signs unless a client has chosen another one.
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

    /// Returns the algorithms that need a key, the signing one first.
    fn algorithms(&self) -> impl Iterator<Item = &'a str> {
        let beside = (self.algorithm != RS256).then_some(RS256);
        [self.algorithm].into_iter().chain(beside)
    }
}

/// A key to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewKey {
    /// `alg`.
    pub(super) algorithm: String,
    /// The first state of the key.
    pub(super) state: KeyState,
}

/// The result of a decision about the keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advance {
    /// The remaining keys, in their new states.
    pub(super) keys: Vec<SealedSigningKey>,
    /// The keys to generate.
    pub(super) create: Vec<NewKey>,
    /// Whether anything has changed.
    pub(super) changed: bool,
}

/// Decides which keys should exist at `now`. The keys of each algorithm move through their states independently.
pub(super) fn advance(keys: &[SealedSigningKey], policy: &Policy<'_>, now: UnixTime) -> Advance {
    let mut next: Vec<SealedSigningKey> =
        keys.iter().filter(|key| !is_over(key, policy, now)).cloned().collect();
    let mut create = Vec::new();
    for algorithm in policy.algorithms() {
        if let Some(state) = advance_one(&mut next, algorithm, policy, now) {
            create.push(NewKey { algorithm: algorithm.to_owned(), state });
        }
    }
    // A key of an algorithm that is no longer configured signs until a key of the new algorithm does.
    if position(&next, policy.algorithm, KeyState::Active).is_some() {
        let wanted: Vec<_> = policy.algorithms().collect();
        for key in &mut next {
            if key.state == KeyState::Active && !wanted.contains(&key.algorithm.as_str()) {
                enter(key, KeyState::Retired, now);
            }
        }
    }
    let changed = !create.is_empty() || next != keys;
    Advance { keys: next, create, changed }
}

/// Moves the keys of one algorithm. Returns the state of a key to generate, if one is needed.
fn advance_one(
    keys: &mut [SealedSigningKey],
    algorithm: &str,
    policy: &Policy<'_>,
    now: UnixTime,
) -> Option<KeyState> {
    let published_long_enough =
        |key: &SealedSigningKey| now >= key.state_since.saturating_add(policy.publish_lead);
    let successor = position(keys, algorithm, KeyState::Published);
    let Some(active) = position(keys, algorithm, KeyState::Active) else {
        // If another key can sign in the meantime, a key that verifiers have not seen yet waits until they have.
        let covered = algorithm == policy.algorithm && keys.iter().any(|key| key.state == KeyState::Active);
        return match successor {
            Some(successor) if covered && !published_long_enough(&keys[successor]) => None,
            Some(successor) => {
                enter(&mut keys[successor], KeyState::Active, now);
                None
            }
            None if covered => Some(KeyState::Published),
            None => Some(KeyState::Active),
        };
    };
    let due = keys[active].state_since.saturating_add(policy.rotation_interval);
    match successor {
        None if now >= due.saturating_sub(policy.publish_lead) => Some(KeyState::Published),
        Some(successor) if now >= due && published_long_enough(&keys[successor]) => {
            enter(&mut keys[active], KeyState::Retired, now);
            enter(&mut keys[successor], KeyState::Active, now);
            None
        }
        _ => None,
    }
}

fn position(keys: &[SealedSigningKey], algorithm: &str, state: KeyState) -> Option<usize> {
    keys.iter().position(|key| key.state == state && key.algorithm == algorithm)
}

/// Retires the active keys in favour of new keys that sign immediately: a manual rotation.
pub(super) fn supersede(keys: &[SealedSigningKey], policy: &Policy<'_>, now: UnixTime) -> Advance {
    let mut next = keys.to_vec();
    for key in next.iter_mut().filter(|key| key.state == KeyState::Active) {
        enter(key, KeyState::Retired, now);
    }
    Advance { keys: next, ..start_over(policy) }
}

/// Removes all keys in favour of new keys that sign immediately, for the case that a key has leaked.
pub(super) fn start_over(policy: &Policy<'_>) -> Advance {
    let active = |algorithm: &str| NewKey { algorithm: algorithm.to_owned(), state: KeyState::Active };
    Advance { keys: Vec::new(), create: policy.algorithms().map(active).collect(), changed: true }
}

fn is_over(key: &SealedSigningKey, policy: &Policy<'_>, now: UnixTime) -> bool {
    match key.state {
        KeyState::Retired => now >= key.state_since.saturating_add(policy.retirement),
        // The key was published for an algorithm that was configured for a short time, and was never used.
        KeyState::Published => {
            policy.algorithms().all(|wanted| wanted != key.algorithm)
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
    use KeyState::{Active, Published, Retired};

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

    /// Returns a key for clients that chose RS256, whose rotation is not due.
    fn beside(now: UnixTime) -> SealedSigningKey {
        key("r", RS256, Active, now)
    }

    fn states(advance: &Advance) -> Vec<(&str, KeyState)> {
        advance.keys.iter().map(|key| (key.id.as_str(), key.state)).collect()
    }

    fn made(advance: &Advance) -> Vec<(&str, KeyState)> {
        advance.create.iter().map(|key| (key.algorithm.as_str(), key.state)).collect()
    }

    #[test]
    fn the_first_keys_sign_at_once_and_one_is_for_rs256() {
        let first = advance(&[], &POLICY, 50);
        assert_eq!((made(&first), first.changed), (vec![("ES256", Active), (RS256, Active)], true));
        let policy = Policy { algorithm: RS256, ..POLICY };
        assert_eq!(made(&advance(&[], &policy, 50)), [(RS256, Active)], "once");
    }

    #[test]
    fn an_upgraded_server_gets_a_key_for_rs256() {
        let keys = [key("a", "ES256", Active, 0)];
        let next = advance(&keys, &POLICY, 50);
        assert_eq!((states(&next), made(&next)), (vec![("a", Active)], vec![(RS256, Active)]));
    }

    #[test]
    fn a_key_moves_through_its_states() {
        for algorithm in ["ES256", RS256] {
            let other = |now| key("o", if algorithm == RS256 { "ES256" } else { RS256 }, Active, now);
            let mut keys = vec![key("a", algorithm, Active, 0), other(5000)];
            assert!(!advance(&keys, &POLICY, 8999).changed);

            assert_eq!(made(&advance(&keys, &POLICY, 9000)), [(algorithm, Published)]);
            keys.push(key("b", algorithm, Published, 9000));

            assert!(!advance(&keys, &POLICY, 9999).changed);
            let switched = advance(&keys, &POLICY, 10_000);
            assert_eq!(states(&switched), [("a", Retired), ("o", Active), ("b", Active)]);
            assert_eq!(made(&switched), []);

            let keys = switched.keys;
            assert!(!advance(&keys, &POLICY, 13_899).changed);
            let dropped = advance(&keys, &POLICY, 13_900);
            assert_eq!(states(&dropped), [("o", Active), ("b", Active)]);
        }
    }

    #[test]
    fn a_late_successor_is_still_published_in_advance() {
        // The server was down when the rotation was due.
        let keys = [key("a", "ES256", Active, 0), key("b", "ES256", Published, 50_000), beside(50_000)];
        assert!(!advance(&keys, &POLICY, 50_999).changed);
        let next = advance(&keys, &POLICY, 51_000);
        assert_eq!(states(&next), [("a", Retired), ("b", Active), ("r", Active)]);
    }

    #[test]
    fn another_algorithm_is_phased_in() {
        for (before, then) in [("EdDSA", Retired), (RS256, Active)] {
            let mut keys = vec![key("a", before, Active, 0)];
            if before != RS256 {
                keys.push(beside(0));
            }
            assert_eq!(made(&advance(&keys, &POLICY, 10)), [("ES256", Published)]);
            keys.push(key("b", "ES256", Published, 10));
            assert!(
                !advance(&keys, &POLICY, 1009).changed,
                "the old key signs until verifiers know the new one"
            );
            let next = advance(&keys, &POLICY, 1010);
            assert_eq!((states(&next)[0], states(&next).last()), (("a", then), Some(&("b", Active))));
        }
        // A key that exists for the clients of RS256 takes over immediately.
        let policy = Policy { algorithm: RS256, ..POLICY };
        let next = advance(&[key("a", "ES256", Active, 0), beside(0)], &policy, 10);
        assert_eq!((states(&next), made(&next)), (vec![("a", Retired), ("r", Active)], vec![]));
    }

    #[test]
    fn an_orphaned_successor_takes_over() {
        let next = advance(&[key("b", "ES256", Published, 10)], &POLICY, 11);
        assert_eq!((states(&next), made(&next)), (vec![("b", Active)], vec![(RS256, Active)]));
    }

    #[test]
    fn a_manual_rotation_retires_the_active_keys() {
        let keys = [key("a", "ES256", Active, 0), key("b", "ES256", Published, 0), beside(0)];
        let next = supersede(&keys, &POLICY, 5);
        assert_eq!(states(&next), [("a", Retired), ("b", Published), ("r", Retired)]);
        assert_eq!(made(&next), [("ES256", Active), (RS256, Active)]);
        assert_eq!(made(&start_over(&POLICY)), [("ES256", Active), (RS256, Active)]);
    }
}
