//! Signed URLs. The bearer can upload or download one object for a limited time, with no other credential.
//!
//! ```text
//! /objects/PROJECT/DOMAIN/PATH?method=PUT&expires=1800000900&md5=HEX&length=12&owner=BASE64URL&signature=BASE64URL
//! ```
//! The signature is an HMAC-SHA-256 with a key that only the server has. It covers everything else in the URL. The
//! object is signed in its decoded form, so a client may escape the path in another way. A URL that does not have
//! exactly this form, or has a parameter twice, is invalid.
//! a parameter twice, is no such URL.

use std::fmt::Write as _;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::key::ObjectKey;
use flyte_model::clock::UnixTime;

/// The prefix of the paths of signed URLs.
pub const PREFIX: &str = "/objects/";
/// The longest lifetime of a signed URL, in seconds.
pub const MAX_LIFE: i64 = 3600;

/// The method that a signed URL permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Download.
    Get,
    /// Upload.
    Put,
}

impl Method {
    fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }
}

/// The principal that asked for a URL: the first bytes of the SHA-256 of its subject. The URL does not reveal the
/// subject.
pub type Owner = [u8; 12];

/// Returns the owner for a subject.
#[must_use]
pub fn owner(subject: &str) -> Owner {
    let mut owner = [0; 12];
    owner.copy_from_slice(&digest(&SHA256, subject.as_bytes()).as_ref()[..12]);
    owner
}

/// The permission that a signed URL gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permit {
    /// The permitted method.
    pub method: Method,
    /// The object.
    pub key: ObjectKey,
    /// The time at which the URL expires; it is invalid from then on.
    pub expires_at: UnixTime,
    /// MD5 of the only content that may be uploaded (RFC 1321). It protects against accidents, not against attacks.
    pub md5: Option<[u8; 16]>,
    /// The only length that may be uploaded, in bytes.
    pub length: Option<u64>,
    /// The principal that asked for the URL. An upload counts against the limits of this owner.
    pub owner: Option<Owner>,
}

/// The reason why a URL permits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL was not made by this server, or was altered.
    #[error("the URL's signature does not verify: ask for a new URL")]
    Signature,
    /// The URL has expired. Clients of S3 look for the first words of this message.
    #[error("Request has expired: the URL is no longer valid; ask for a new one")]
    Expired,
    /// The URL is for another method.
    #[error("the URL was signed for another method")]
    Method,
}

impl Permit {
    /// Returns path and query of the URL; `mac` computes the signature.
    #[must_use]
    pub fn to_path(&self, mac: impl Fn(&[u8]) -> [u8; 32]) -> String {
        let mut path = String::from(PREFIX.trim_end_matches('/'));
        for segment in self.key.segments() {
            path.push('/');
            encode(segment, &mut path);
        }
        // Writing to a `String` cannot fail.
        let _ = write!(path, "?method={}&expires={}", self.method.as_str(), self.expires_at);
        if let Some(md5) = &self.md5 {
            let _ = write!(path, "&md5={}", hex(md5));
        }
        if let Some(length) = self.length {
            let _ = write!(path, "&length={length}");
        }
        if let Some(owner) = &self.owner {
            let _ = write!(path, "&owner={}", URL_SAFE_NO_PAD.encode(owner));
        }
        let _ = write!(path, "&signature={}", URL_SAFE_NO_PAD.encode(mac(&self.message())));
        path
    }

    /// Returns the permission of a URL's path and query, if it is valid at `now` for `method`.
    ///
    /// # Errors
    /// [`Refused`]. Nothing is revealed about a URL whose signature does not verify.
    pub fn verify(
        path: &str,
        query: &str,
        method: Method,
        now: UnixTime,
        mac: impl Fn(&[u8]) -> [u8; 32],
    ) -> Result<Self, Refused> {
        let (permit, signature) = read(path, query).ok_or(Refused::Signature)?;
        verify_slices_are_equal(&mac(&permit.message()), &signature).map_err(|_| Refused::Signature)?;
        if permit.method != method {
            return Err(Refused::Method);
        }
        // The second condition only holds for the URL of an earlier server with another limit.
        if permit.expires_at <= now || permit.expires_at - now > MAX_LIFE {
            return Err(Refused::Expired);
        }
        Ok(permit)
    }

    /// Returns the signed text. None of its parts contains a line break.
    fn message(&self) -> Vec<u8> {
        let length = self.length.map(|length| length.to_string()).unwrap_or_default();
        let md5 = self.md5.as_ref().map(|md5| hex(md5)).unwrap_or_default();
        // URLs of earlier versions have no owner, and are signed without this line.
        let owner = self.owner.map(|owner| format!("\n{}", hex(&owner))).unwrap_or_default();
        format!("{}\n{}\n{md5}\n{length}\n{}{owner}", self.method.as_str(), self.expires_at, self.key)
            .into_bytes()
    }
}

/// Parses a URL of this form; its signature is not verified yet.
fn read(path: &str, query: &str) -> Option<(Permit, [u8; 32])> {
    let segments = path.strip_prefix(PREFIX)?.split('/').map(decode).collect::<Option<Vec<_>>>()?;
    let [project, domain, rest @ ..] = segments.as_slice() else { return None };
    // An escaped slash is not a separator.
    if rest.iter().any(|segment| segment.contains('/')) {
        return None;
    }
    let key = ObjectKey::new(project, domain, &rest.join("/")).ok()?;
    let (mut method, mut expires_at, mut md5, mut length) = (None, None, None, None);
    let (mut owner, mut signature) = (None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=')?;
        match name {
            "method" => once(&mut method, read_method(value)?)?,
            "expires" => once(&mut expires_at, number(value)?)?,
            "md5" => once(&mut md5, unhex(value)?)?,
            "length" => once(&mut length, number(value)?)?,
            "owner" => once(&mut owner, Owner::try_from(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?)?,
            "signature" => {
                once(&mut signature, <[u8; 32]>::try_from(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?)?;
            }
            _ => return None,
        }
    }
    Some((Permit { method: method?, key, expires_at: expires_at?, md5, length, owner }, signature?))
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

fn read_method(text: &str) -> Option<Method> {
    [Method::Get, Method::Put].into_iter().find(|method| method.as_str() == text)
}

/// Parses a decimal number in the only form that this server writes: without sign and leading zeros.
fn number<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse::<T>().ok().filter(|number| number.to_string() == text)
}

/// Encodes bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    if text.len() != 2 * bytes.len() || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// Escapes all characters except the unreserved characters of RFC 3986.
fn encode(segment: &str, into: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixTime = 1_800_000_000;

    fn mac(message: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        hmac::sign(&key, message).as_ref().try_into().unwrap()
    }

    fn permit() -> Permit {
        Permit {
            method: Method::Put,
            key: ObjectKey::new("p", "d", "content/é b.tar.gz").unwrap(),
            expires_at: NOW + 60,
            md5: Some([0xab; 16]),
            length: Some(12),
            owner: Some([0xcd; 12]),
        }
    }

    fn verify(url: &str, method: Method, now: UnixTime) -> Result<Permit, Refused> {
        let (path, query) = url.split_once('?').unwrap();
        Permit::verify(path, query, method, now, mac)
    }

    #[test]
    fn a_url_permits_what_was_signed() {
        let url = permit().to_path(mac);
        let expected = "/objects/p/d/content/%C3%A9%20b.tar.gz?method=PUT&expires=1800000060\
                        &md5=abababababababababababababababab&length=12&owner=zc3Nzc3Nzc3Nzc3N&signature=";
        assert_eq!(&url[..expected.len()], expected);
        assert_eq!(verify(&url, Method::Put, NOW), Ok(permit()));
        // Another client may escape the same path in this way.
        assert_eq!(verify(&url.replace("%C3%A9%20b", "%c3%a9%20%62"), Method::Put, NOW), Ok(permit()));
    }

    #[test]
    fn a_url_expires_and_is_for_one_method() {
        let url = permit().to_path(mac);
        assert_eq!(verify(&url, Method::Get, NOW), Err(Refused::Method));
        assert!(verify(&url, Method::Put, NOW + 59).is_ok());
        assert_eq!(verify(&url, Method::Put, NOW + 60), Err(Refused::Expired));
        let long = Permit { expires_at: NOW + MAX_LIFE + 1, ..permit() };
        assert_eq!(verify(&long.to_path(mac), Method::Put, NOW), Err(Refused::Expired));
        assert!(Refused::Expired.to_string().to_lowercase().contains("request has expired"));
    }

    #[test]
    fn any_change_invalidates_the_signature() {
        let url = permit().to_path(mac);
        for (from, to) in [
            ("method=PUT", "method=GET"),
            ("/p/d/", "/q/d/"),
            ("/p/d/", "/p/e/"),
            ("/content/", "/content/../"),
            ("/content/", "/content%2F"),
            ("/content/", "//content/"),
            ("content", "%00content"),
            ("expires=1800000060", "expires=1800000061"),
            ("expires=1800000060", "expires=+1800000060"),
            ("expires=1800000060", "expires=01800000060"),
            ("md5=ab", "md5=bb"),
            ("md5=ab", "md5=AB"),
            ("&md5=abababababababababababababababab", ""),
            ("length=12", "length=13"),
            ("&length=12", ""),
            ("&length=12", "&length=12&length=12"),
            ("&length=12", "&length=12&more=1"),
            ("owner=zc", "owner=yc"),
            ("&owner=zc3Nzc3Nzc3Nzc3N", ""),
            ("&owner=", "&owner=zc3Nzc3Nzc3Nzc3N&owner="),
            ("?method=PUT&", "?"),
            ("signature=", "signature=A"),
        ] {
            let altered = url.replacen(from, to, 1);
            assert_ne!(altered, url);
            assert_eq!(verify(&altered, Method::Put, NOW), Err(Refused::Signature), "{altered}");
        }
        for query in ["", "signature=", "method=PUT", "&", "="] {
            assert!(Permit::verify("/objects/p/d/a", query, Method::Put, NOW, mac).is_err());
        }
    }

    fn any_permit() -> impl Strategy<Value = Permit> {
        let segment = "[^/\\\\\\p{Cc}]{1,12}".prop_filter("names nothing", |s| s != "." && s != "..");
        (
            any::<bool>(),
            prop::collection::vec(segment, 3..6),
            1..MAX_LIFE,
            any::<Option<[u8; 16]>>(),
            any::<Option<u64>>(),
            any::<Option<[u8; 12]>>(),
        )
            .prop_map(|(put, parts, life, md5, length, owner)| Permit {
                method: if put { Method::Put } else { Method::Get },
                key: ObjectKey::parse(&parts.join("/")).unwrap(),
                expires_at: NOW + life,
                md5,
                length,
                owner,
            })
    }

    proptest! {
        #[test]
        fn permits_are_read_back_unchanged(permit in any_permit()) {
            let url = permit.to_path(mac);
            prop_assert!(url.parse::<http::Uri>().is_ok(), "{}", url);
            prop_assert_eq!(verify(&url, permit.method, NOW), Ok(permit));
        }

        #[test]
        fn one_changed_byte_invalidates_the_url(permit in any_permit(), at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
            let url = permit.to_path(mac);
            let mut altered = url.clone().into_bytes();
            let at = at.index(altered.len());
            altered[at] = byte;
            let altered = String::from_utf8(altered).unwrap();
            if let Some((path, query)) = altered.split_once('?') {
                // Another escape of the same object is not a change.
                if let Ok(read) = Permit::verify(path, query, permit.method, NOW, mac) {
                    prop_assert_eq!(read, permit);
                }
            }
        }

        #[test]
        fn no_text_panics(path in "/objects/.*|.*", query in ".*|method=PUT&expires=[0-9]*&md5=.*&signature=.*") {
            prop_assert!(Permit::verify(&path, &query, Method::Put, NOW, |_| [7; 32]).is_err());
        }
    }
}
