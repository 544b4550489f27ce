//! The signed URL of an object: path and query as they come, the signature taken for good.
#![no_main]

use flyte_objects::signed_url::{Method, Permit, Refused};

const SIGNATURE: [u8; 32] = [0; 32];

libfuzzer_sys::fuzz_target!(|input: (&str, &str)| {
    let (path, query) = input;
    // All zeros, in base64url: what the fuzzer need not find.
    let query = format!("{query}&signature={}", "A".repeat(43));
    for now in [0, 1_800_000_000, i64::MAX] {
        match Permit::verify(path, &query, Method::Put, now, |_| SIGNATURE) {
            Ok(permit) => {
                let key = permit.key.to_string();
                assert!(!key.split('/').any(|part| matches!(part, "" | "." | "..") || part.contains('\0')));
                let written = permit.to_path(|_| SIGNATURE);
                let (path, query) = written.split_once('?').expect("it has a query");
                assert!(Permit::verify(path, query, Method::Put, now, |_| SIGNATURE) == Ok(permit));
            }
            Err(Refused::Signature | Refused::Expired | Refused::Method) => {}
        }
        assert!(Permit::verify(path, &query, Method::Put, now, |_| [1; 32]) == Err(Refused::Signature));
    }
});
