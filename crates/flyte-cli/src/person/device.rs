//! What the person reads when they sign in on another device.

use std::time::Duration;

use flyte_auth::flows::device::DeviceCode;

/// Where to go, in the words of the user guide; then the code alone, a picture of the link, and how to copy it.
pub(super) fn prompt(code: &DeviceCode, picture: Option<String>, can_copy: bool) -> String {
    let mut text = format!("\nTo Authenticate, navigate in a browser to the following URL:\n{}\n", code.url);
    text.push_str(&format!("\nThe page shows this code: {}\n", code.user_code));
    if let Some(picture) = picture {
        text.push_str(&format!("\n{picture}"));
    }
    if can_copy {
        text.push_str("\nTo copy the link, type c and press Enter.\n");
    }
    text
}

/// How much time is left.
pub(super) fn countdown(left: Duration) -> String {
    let seconds = left.as_secs();
    format!("Waiting for you to sign in; the code expires in {}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> DeviceCode {
        DeviceCode {
            url: "https://signin.example.com/activate?user_code=TKBJXFFW".parse().unwrap(),
            verification_uri: "https://signin.example.com/activate".parse().unwrap(),
            user_code: "TKBJXFFW".to_owned(),
            expires_in: Duration::from_secs(600),
        }
    }

    #[test]
    fn the_prompt_is_the_user_guides() {
        let text = prompt(&code(), None, false);
        assert_eq!(
            text,
            "\nTo Authenticate, navigate in a browser to the following URL:\n\
             https://signin.example.com/activate?user_code=TKBJXFFW\n\
             \nThe page shows this code: TKBJXFFW\n"
        );
        let more = prompt(&code(), Some("PICTURE\n".to_owned()), true);
        assert!(more.starts_with(&text) && more.contains("\nPICTURE\n") && more.contains("type c"), "{more}");
    }

    #[test]
    fn the_time_left_is_readable() {
        assert!(countdown(Duration::from_secs(600)).ends_with("10:00"));
        assert!(countdown(Duration::from_secs(65)).ends_with("1:05"));
        assert!(countdown(Duration::ZERO).ends_with("0:00"));
    }
}
