use std::net::Ipv4Addr;

use super::*;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

fn throttle() -> (Throttle, Clock) {
    let clock = Clock::manual(1_000_000);
    (Throttle::new(clock.clone()), clock)
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

fn fail(throttle: &Throttle, account: &str, address: IpAddr) {
    drop(throttle.admit(account, address, None).unwrap());
}

#[test]
fn guessing_delays_the_attacker_and_not_the_owner() {
    let (throttle, clock) = throttle();
    for _ in 0..4 {
        fail(&throttle, "ada@example.com", HOME);
    }
    let mut waits = Vec::new();
    for _ in 0..12 {
        fail(&throttle, "ada@example.com", HOME);
        let Throttled { retry_after } =
            throttle.admit("Ada@Example.com ", HOME, None).expect_err("the attacker waits");
        waits.push(retry_after);
        clock.advance(retry_after - 1);
        assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 1);
        throttle.admit("ada@example.com", address(1), None).unwrap().withdrawn();
        clock.advance(1);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    fail(&throttle, "grace@example.com", HOME);
    // For a day, as fast as the limit allows: the owner is never locked out.
    for _ in 0..24 * 4 {
        fail(&throttle, "ada@example.com", HOME);
        throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
        clock.advance(900);
    }
}

#[test]
fn guessing_from_many_addresses_delays_only_unknown_browsers() {
    let (throttle, clock) = throttle();
    for number in 0..49 {
        fail(&throttle, "ada@example.com", address(number));
    }
    let mut waits = Vec::new();
    for number in 49..60 {
        fail(&throttle, "ada@example.com", address(number));
        let waiting = throttle.admit("ada@example.com", address(1000), None).unwrap_err();
        waits.push(waiting.retry_after);
        throttle.admit("ada@example.com", address(1000), Some([7; 16])).unwrap().succeeded();
        clock.advance(waiting.retry_after);
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    // The owner's success does not let the attackers continue.
    throttle.admit("ada@example.com", address(1000), None).unwrap().succeeded();
    fail(&throttle, "ada@example.com", address(1001));
    assert_eq!(throttle.admit("ada@example.com", address(1002), None).unwrap_err().retry_after, 300);
}

#[test]
fn a_known_browser_has_a_limit_too() {
    let (throttle, _clock) = throttle();
    for number in 0..5 {
        drop(throttle.admit("ada@example.com", address(number), Some([7; 16])).unwrap());
    }
    assert_eq!(throttle.admit("ada@example.com", HOME, Some([7; 16])).unwrap_err().retry_after, 2);
    throttle.admit("ada@example.com", HOME, Some([8; 16])).unwrap().withdrawn();
    throttle.admit("ada@example.com", address(1), None).unwrap().succeeded();
}

#[test]
fn an_address_is_slowed_down_and_ipv6_counts_by_64_bits() {
    for many in [|_| HOME, |n| format!("2001:db8::{n:x}").parse().unwrap()] {
        let (throttle, clock) = throttle();
        for number in 0..100 {
            fail(&throttle, &format!("{number}@example.com"), many(number));
        }
        // An account that has failed there waits.
        let again = |number: u32| throttle.admit(&format!("{number}@example.com"), many(999), None);
        assert_eq!(again(7).unwrap_err().retry_after, 2);
        // At another address it does not wait.
        fail(&throttle, "7@example.com", "2001:db8:0:1::1".parse().unwrap());
        // Other accounts there are admitted, also after hundreds of failures.
        for number in 100..1000 {
            throttle.admit("grace@example.com", many(number), None).unwrap().succeeded();
            fail(&throttle, &format!("{number}@example.com"), many(number));
            assert!(again(number).is_err(), "one password at many accounts is one attempt at each");
        }
        assert_eq!(again(7).unwrap_err().retry_after, 60);
        // After one mistake an account has failed there too.
        fail(&throttle, "grace@example.com", many(0));
        assert_eq!(throttle.admit("grace@example.com", many(0), None).unwrap_err().retry_after, 60);
        clock.advance(60);
        throttle.admit("grace@example.com", many(0), None).unwrap().succeeded();
    }
    let mapped = AddressBlock::of("::ffff:203.0.113.9".parse().unwrap());
    assert_eq!(mapped, AddressBlock::of(HOME));
}

#[test]
fn a_slowed_address_admits_one_attempt_at_a_time() {
    let (throttle, _clock) = throttle();
    for number in 0..100 {
        fail(&throttle, &format!("{number}@example.com"), HOME);
    }
    for end in 0..3 {
        let first = throttle.admit("ada@example.com", HOME, None).unwrap();
        assert_eq!(
            throttle.admit("grace@example.com", HOME, None).unwrap_err().retry_after,
            LANE_WAIT_SECONDS
        );
        fail(&throttle, "grace@example.com", address(1));
        throttle.admit("grace@example.com", HOME, Some([7; 16])).unwrap().withdrawn();
        match end {
            0 => first.succeeded(),
            1 => first.withdrawn(),
            _ => drop(first),
        }
        throttle.admit("grace@example.com", HOME, None).unwrap().withdrawn();
    }
}

#[test]
fn a_sign_in_does_not_reset_the_address() {
    let (throttle, clock) = throttle();
    for number in 0..200 {
        fail(&throttle, &format!("{number}@example.com"), HOME);
    }
    for _ in 0..200 {
        throttle.admit("mallory@example.com", HOME, None).unwrap().succeeded();
    }
    clock.advance(60);
    fail(&throttle, "0@example.com", HOME);
    assert_eq!(throttle.admit("0@example.com", HOME, None).unwrap_err().retry_after, 60);
}

#[test]
fn simultaneous_attempts_do_not_exceed_the_limit() {
    let (throttle, _clock) = throttle();
    let admitted: Vec<_> =
        (0..50).filter_map(|_| throttle.admit("ada@example.com", HOME, None).ok()).collect();
    assert_eq!(admitted.len(), 5);
}

#[test]
fn success_resets_the_account_and_not_the_address() {
    let (throttle, _clock) = throttle();
    for _ in 0..4 {
        fail(&throttle, "ada@example.com", HOME);
    }
    throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
    for _ in 0..4 {
        fail(&throttle, "ada@example.com", HOME);
    }
    throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
    for number in 0..92 {
        fail(&throttle, &format!("{number}@example.com"), HOME);
    }
    // A hundred failures; the owner of one account signs in between them.
    assert!(throttle.admit("0@example.com", HOME, None).is_err());
    for _ in 0..3 {
        throttle.admit("ada@example.com", HOME, None).unwrap().succeeded();
    }
}

#[test]
fn a_success_keeps_the_wait_that_a_later_failure_caused() {
    let (throttle, _clock) = throttle();
    let own = throttle.admit("mallory@example.com", HOME, None).unwrap();
    for number in 0..99 {
        fail(&throttle, &format!("{number}@example.com"), HOME);
    }
    own.succeeded();
    assert!(throttle.admit("0@example.com", HOME, None).is_err());
}

#[test]
fn a_withdrawn_attempt_does_not_count() {
    let (throttle, _clock) = throttle();
    for _ in 0..100 {
        throttle.admit("ada@example.com", HOME, None).unwrap().withdrawn();
    }
    for _ in 0..100 {
        throttle.admit("ada@example.com", HOME, Some([7; 16])).unwrap().withdrawn();
    }
    let counters = throttle.counters();
    assert_eq!(counters.accounts.len() + counters.addresses.len(), 0);
    assert_eq!(counters.pairs.len() + counters.browsers.len(), 0);
}

#[test]
fn failures_are_forgotten_one_by_one() {
    let (throttle, clock) = throttle();
    for _ in 0..4 {
        fail(&throttle, "ada@example.com", HOME);
    }
    clock.advance(600);
    fail(&throttle, "ada@example.com", HOME);
    assert!(throttle.admit("ada@example.com", HOME, None).is_ok(), "one failure was forgotten");
    clock.advance(10 * 600);
    for _ in 0..5 {
        fail(&throttle, "ada@example.com", HOME);
    }
}

#[test]
fn a_clock_set_back_causes_no_long_wait() {
    let (throttle, clock) = throttle();
    for _ in 0..5 {
        fail(&throttle, "ada@example.com", HOME);
    }
    clock.advance(-500_000);
    assert_eq!(throttle.admit("ada@example.com", HOME, None).unwrap_err().retry_after, 900);
}

#[test]
fn memory_is_bounded_and_a_flood_keeps_the_counter_of_an_attacked_account() {
    let (throttle, _clock) = throttle();
    for number in 0..50 {
        fail(&throttle, "ada@example.com", address(number));
    }
    for number in 0..60_000 {
        fail(&throttle, &format!("{number}@example.com"), address(100 + number));
        let counters = throttle.counters();
        assert!(counters.accounts.len() <= BY_ACCOUNT.capacity);
        assert!(counters.addresses.len() <= BY_ADDRESS.capacity);
        assert!(counters.pairs.len() <= BY_ONE.capacity);
    }
    assert!(throttle.admit("ada@example.com", address(99_999), None).is_err());
}
