//! The messages of a sign-in on another device.

use std::time::Duration;

use flyte_auth::flows::device::DeviceCode;

/// The prompt: the link in the words of the user guide, the code, a QR code, and how to copy the link.
pub(super) fn prompt(code: &DeviceCode, picture: Option<String>, can_copy: bool) -> String {
    let mut text = format!("\nTo Authenticate, navigate in a browser to the following URL:\n{}\n", code.url);
    text.push_str(&format!("\nCheck that the page shows this code: {}\n", code.user_code));
    if let Some(number) = &code.number {
        text.push_str(&format!("Enter this number on the page: {number}\n"));
    }
    if let Some(picture) = picture {
        text.push_str(&format!("\n{picture}"));
    }
    if can_copy {
        text.push_str("\nTo copy the link, type c and press Enter.\n");
    }
    text
}

/// The remaining time.
pub(super) fn countdown(left: Duration) -> String {
    let seconds = left.as_secs();
    format!("Waiting for your sign-in; the code expires in {}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> DeviceCode {
        DeviceCode {
            url: "https://signin.example.com/activate?user_code=TKBJXFFW".parse().unwrap(),
            verification_uri: "https://signin.example.com/activate".parse().unwrap(),
            user_code: "TKBJXFFW".to_owned(),
            number: None,
            expires_in: Duration::from_secs(600),
        }
    }

    #[test]
    fn prompt_is_that_of_the_user_guide() {
        let text = prompt(&code(), None, false);
        assert_eq!(
            text,
            "\nTo Authenticate, navigate in a browser to the following URL:\n\
             https://signin.example.com/activate?user_code=TKBJXFFW\n\
             \nCheck that the page shows this code: TKBJXFFW\n"
        );
        let with_number = DeviceCode { number: Some("47".to_owned()), ..code() };
        let numbered = prompt(&with_number, None, false);
        assert_eq!(numbered, format!("{text}Enter this number on the page: 47\n"));
        let more = prompt(&code(), Some("PICTURE\n".to_owned()), true);
        assert!(more.starts_with(&text) && more.contains("\nPICTURE\n") && more.contains("type c"), "{more}");
    }

    #[test]
    fn remaining_time_is_readable() {
        assert!(countdown(Duration::from_secs(600)).ends_with("10:00"));
        assert!(countdown(Duration::from_secs(65)).ends_with("1:05"));
        assert!(countdown(Duration::ZERO).ends_with("0:00"));
    }
}
