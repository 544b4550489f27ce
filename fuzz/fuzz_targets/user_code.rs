//! A user code as typed or pasted by a user.
#![no_main]

use flyte_oauth::device::user_code::UserCode;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some(code) = UserCode::parse(text) else { return };
    let shown = code.to_string();
    assert!(UserCode::parse(&shown) == Some(code));
    assert!(shown.len() == 9 && shown.is_ascii() && shown == shown.to_uppercase());
    assert!(UserCode::parse(&text.to_ascii_lowercase()) == Some(code));
});
