//! `es256`: how many ES256 signatures one core makes in a second, the limit that `bench/run` holds the token endpoint against.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing the measurement is what this program is for")]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};

/// About as long as the part of an access token that is signed.
const MESSAGE: [u8; 500] = [b'a'; 500];
/// How long to measure.
const TIME: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match rate() {
        Ok(rate) => {
            println!("{rate:.0}");
            ExitCode::SUCCESS
        }
        Err(Unspecified) => ExitCode::FAILURE,
    }
}

/// Signatures per second of this thread.
fn rate() -> Result<f64, Unspecified> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < TIME {
        std::hint::black_box(key.sign(&random, &MESSAGE)?);
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}
