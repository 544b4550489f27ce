use proptest::prelude::*;

use super::*;

fn complete(random: &str) -> String {
    let text = format!("{}{random}", flyte_api_key::PREFIX);
    let checksum = flyte_api_key::checksum(&text);
    text.chars().chain(checksum.map(char::from)).collect()
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

fn parts(text: &str) -> (String, String, String, Option<String>) {
    let key = ApiKey::decode(&base64(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    let client_id = key.client_id.as_str().to_owned();
    (key.endpoint.keyring_service(), client_id, key.client_secret.expose_secret().to_owned(), key.org)
}

fn is(text: &str, endpoint: &str, client_id: &str, secret: &str, org: Option<&str>) {
    let expected = (endpoint.to_owned(), client_id.to_owned(), secret.to_owned(), org.map(str::to_owned));
    assert_eq!(parts(text), expected, "{text}");
}

/// Reads a key like the published client: `flyte.remote._client.auth._auth_utils.decode_api_key`.
fn published(encoded: &str) -> Option<[String; 4]> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let parts: Vec<_> = text.splitn(4, ':').map(str::to_owned).collect();
    parts.try_into().ok()
}

#[test]
fn both_forms_are_read() {
    is("acme.example.com:ci:s3cret:acme", "acme.example.com", "ci", "s3cret", Some("acme"));
    is("acme.example.com:ci:s3cret:None", "acme.example.com", "ci", "s3cret", None);
    is("acme.example.com:ci:s3cret:", "acme.example.com", "ci", "s3cret", None);
    is("localhost:8443:ci:s3cret:None", "localhost:8443", "ci", "s3cret", None);
    is("localhost:8443/flyte:ci:s3cret:None", "localhost:8443/flyte", "ci", "s3cret", None);
    is("[::1]:8443:ci:s3cret:None", "[::1]:8443", "ci", "s3cret", None);
    is("[::1]:ci:s3cret:None", "[::1]", "ci", "s3cret", None);
    is("dns:///acme.example.com:ci:s3cret:None", "acme.example.com", "ci", "s3cret", None);
    is("https://localhost:8443:ci:s3cret:None", "localhost:8443", "ci", "s3cret", None);
    is("acme.example.com:443:ci:s3cret:None", "acme.example.com", "ci", "s3cret", None);
    // A number is a port only if it is in the range of ports and a fifth part follows.
    is("acme.example.com:8443:s3cret:None", "acme.example.com", "8443", "s3cret", None);
    is("acme.example.com:443:8443:s3cret:acme", "acme.example.com", "8443", "s3cret", Some("acme"));
    is("acme.example.com:70000:s3:cret:None", "acme.example.com", "70000", "s3:cret", None);
    // The secret has colons.
    is("acme.example.com:ci:s3:cr:et:acme", "acme.example.com", "ci", "s3:cr:et", Some("acme"));
    is("localhost:8443:ci:s3:cret:acme", "localhost:8443", "ci", "s3:cret", Some("acme"));
}

#[test]
fn surrounding_white_space_is_ignored() {
    assert!(ApiKey::decode(&format!("  {}\r\n", base64("h:ci:s3cret:None"))).is_ok());
}

#[test]
fn each_kind_of_damage_has_its_error() {
    let whole = base64("acme.example.com:ci:s3cret:acme-org");
    let error = |text: &str| ApiKey::decode(text).unwrap_err();
    assert_eq!(error(" \n"), ApiKeyError::Empty);
    assert_eq!(error(&whole[..whole.len() - 3]), ApiKeyError::Truncated(whole.len() - 3));
    assert_eq!(error(&format!("{}\n{}", &whole[..8], &whole[8..])), ApiKeyError::WhiteSpace(8));
    for (text, word) in [
        (format!("{}-{}", &whole[..4], &whole[5..]), "URL-safe"),
        (format!("\"{whole}\""), "quotation mark"),
        (format!("{}={}", &whole[..4], &whole[5..]), "= sign"),
        (format!("{}\u{e9}{}", &whole[..4], &whole[5..]), "an invalid character"),
    ] {
        assert!(matches!(error(&text), ApiKeyError::Alphabet { what, .. } if what.contains(word)), "{text}");
    }
    assert_eq!(error("AB=="), ApiKeyError::NotBase64, "unused bits are not zero");
    assert_eq!(error("//79"), ApiKeyError::NotText);
    assert_eq!(error(&base64("{\"client_id\":\"a\"}")), ApiKeyError::Flyte1);
    for (text, count) in [("acme", 1), ("acme:ci", 2), ("acme:ci:s3cret", 3)] {
        assert_eq!(error(&base64(text)), ApiKeyError::MissingParts(count), "{text}");
    }
    for (text, part) in [
        ("ho st:ci:s3cret:None", "endpoint"),
        ("[::1]x:ci:s3cret:None", "endpoint"),
        ("acme::s3cret:None", "client ID"),
        ("acme:ci::None", "secret"),
        ("acme:c\u{7}i:s3cret:None", "client ID"),
        ("acme:ci:s3cret:a\u{1b}[31m", "organization"),
    ] {
        let error = error(&base64(text));
        assert!(matches!(error, ApiKeyError::Part { part: found, .. } if found == part), "{text}: {error}");
    }
    assert!(matches!(error(&"A".repeat(MAX_KEY_CHARS + 4)), ApiKeyError::TooLong(_)));
}

#[test]
fn invalid_parts_are_not_written() {
    let key = ApiKey::decode(&base64("acme.example.com:ci:s3cret:acme")).unwrap();
    let written = |change: &dyn Fn(&mut ApiKey)| {
        let mut key = key.clone();
        change(&mut key);
        key.encode().map(|text| text.expose_secret().to_owned())
    };
    assert_eq!(written(&|_| {}), Ok(base64("acme.example.com:ci:s3cret:acme")));
    let https: &dyn Fn(&mut ApiKey) = &|key| key.endpoint = "acme.example.com:443/x".parse().unwrap();
    assert_eq!(written(https), Ok(base64("acme.example.com/x:ci:s3cret:acme")));
    let refused: [&dyn Fn(&mut ApiKey); 6] = [
        &|key| key.client_id = ClientId::parse("//ci").unwrap(),
        &|key| key.client_id = ClientId::parse("a:b").unwrap(),
        &|key| key.org = Some("a:b".into()),
        &|key| key.client_secret = SecretString::from(""),
        &|key| key.endpoint = key.endpoint.clone().with_insecure(true),
        &|key| key.endpoint = "acme.example.com/a:b".parse().unwrap(),
    ];
    for (index, change) in refused.into_iter().enumerate() {
        assert!(matches!(written(change), Err(ApiKeyError::Part { .. })), "{index}");
    }
}

#[test]
fn a_key_without_a_host_is_invalid() {
    for text in [
        " dns://///:/:k:",
        "dns://///:/:k:",
        "dns:///:ci:s3cret:None",
        "https://:ci:s3cret:None",
        "https:///x:ci:s3cret:None",
        "https:////:ci:s3cret:None",
        ":ci:s3cret:None",
        "/:ci:s3cret:None",
        "..:ci:s3cret:None",
        ":443:ci:s3cret:None",
    ] {
        assert!(matches!(ApiKey::decode(&base64(text)), Err(ApiKeyError::Part { .. })), "{text}");
    }
    is("HTTPS://localhost:8443:ci:s3cret:None", "localhost:8443", "ci", "s3cret", None);
}

#[test]
fn a_secret_is_not_taken_for_the_organization() {
    for cut in ["s3c", "flyte_key_abc", ""] {
        for host in ["localhost:8443", "[::1]:8443", "localhost:8443/flyte"] {
            let error = ApiKey::decode(&base64(&format!("{host}:ci:{cut}"))).unwrap_err();
            assert_eq!(error, ApiKeyError::LostEnd, "{host} {cut}");
        }
    }
    // The checksum of our own secrets detects more than the number of parts.
    let secret = complete(&"x".repeat(43));
    let decode = |secret: &str| ApiKey::decode(&base64(&format!("acme.example.com:ci:{secret}:acme")));
    assert_eq!(decode(&secret[..40]).unwrap_err(), ApiKeyError::Altered);
    assert_eq!(decode(&secret.replacen('x', "y", 1)).unwrap_err(), ApiKeyError::Altered);
    assert_eq!(decode(&secret).unwrap().client_secret.expose_secret(), secret);
}

#[test]
fn no_secret_is_shown() {
    let key = ApiKey::decode(&base64("acme.example.com:ci:s3cret:acme")).unwrap();
    assert!(!format!("{key:?}").contains("s3cret"));
    for text in ["ho st:ci:s3cret:None", "s3cret", "s3cret:", "s3cret:ci:x", "[s3cret:ci:x:y"] {
        for text in [text.to_owned(), base64(text)] {
            let Err(error) = ApiKey::decode(&text) else { panic!("{text}") };
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z][a-z0-9-]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,3}",
        any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        any::<[u8; 16]>().prop_map(|octets| format!("[{}]", std::net::Ipv6Addr::from(octets))),
    ]
}

fn port() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![Just(None), Just(Some(443)), (1_u16..).prop_map(Some)]
}

proptest! {
    #[test]
    fn written_keys_are_read_back(
        host in host(),
        port in port(),
        path in "(/[a-z0-9]{1,5}){0,2}",
        client_id in "[0-9]{1,6}|[0-9]{1,3}/[a-z]|[^:\\p{Cc}]{1,20}",
        secret in "[0-9:]{1,6}|(?s).{1,40}",
        org in proptest::option::of("[a-z][a-z0-9-]{0,10}"),
    ) {
        // This client ID is an error, because `https` can be a host name.
        prop_assume!(!client_id.starts_with("//"));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let endpoint: Endpoint = format!("{host}{port}{path}").parse().unwrap();
        let expected = without_default_port(&endpoint).unwrap_or_else(|| endpoint.clone());
        let key = ApiKey { endpoint, client_id: ClientId::parse(&client_id).unwrap(), client_secret: SecretString::from(secret.as_str()), org: org.clone() };
        let text = key.encode().unwrap();
        let read = ApiKey::decode(text.expose_secret()).unwrap();
        prop_assert_eq!(&read.endpoint, &expected);
        prop_assert_eq!(read.client_id.as_str(), &client_id);
        prop_assert_eq!(read.client_secret.expose_secret(), secret.as_str());
        prop_assert_eq!(&read.org, &org);
        // A portable key gives the published client the same values.
        let theirs = published(text.expose_secret());
        let ours = [expected.keyring_service(), client_id, secret, org.unwrap_or_else(|| "None".to_owned())];
        prop_assert_eq!(key.is_portable(), theirs == Some(ours));
    }

    #[test]
    fn no_text_causes_a_panic(
        text in "(?s).{0,60}| ?(dns:///|(?i:https)://|http://)?[a-z:/. 0-9\\[\\]]{0,12}:[a-z:/ 0-9]{0,12}:[a-z/:]{0,6}",
        encoded in any::<bool>(),
    ) {
        let pasted = if encoded { base64(&text) } else { text };
        if let Ok(key) = ApiKey::decode(&pasted) {
            let again = ApiKey::decode(key.encode().unwrap().expose_secret()).unwrap();
            prop_assert_eq!(&again.endpoint, &key.endpoint);
            prop_assert_eq!((&again.client_id, &again.org), (&key.client_id, &key.org));
            prop_assert_eq!(again.client_secret.expose_secret(), key.client_secret.expose_secret());
        }
    }

    #[test]
    fn a_truncated_key_reveals_no_part_of_the_secret(
        host in host(),
        port in port(),
        client_id in "[a-z][a-z0-9-]{0,12}|[0-9]{1,6}",
        secret in "[a-zA-Z0-9_-]{24,40}|[a-zA-Z0-9]{43}",
        org in proptest::option::of("[a-z][a-z0-9-]{0,10}"),
    ) {
        let secret = if secret.len() == 43 { complete(&secret) } else { format!("S{secret}") };
        // This client ID is an error, because `https` can be a host name.
        prop_assume!(!client_id.starts_with("//"));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let endpoint: Endpoint = format!("{host}{port}").parse().unwrap();
        let key = ApiKey { endpoint: endpoint.clone(), client_id: ClientId::parse(&client_id).unwrap(), client_secret: secret.clone().into(), org: org.clone() };
        let whole = key.encode().unwrap().expose_secret().to_owned();
        for length in 0..whole.len() {
            match ApiKey::decode(&whole[..length]) {
                Ok(read) => {
                    prop_assert_eq!((read.endpoint.host(), read.client_id.as_str()), (endpoint.host(), client_id.as_str()));
                    // At most, part of the organization is missing.
                    prop_assert_eq!(read.client_secret.expose_secret(), &secret);
                    let word = org.as_deref().unwrap_or("None");
                    prop_assert!(word.starts_with(read.org.as_deref().unwrap_or_default()));
                }
                Err(error) => {
                    let message = format!("{error} {error:?}");
                    prop_assert!(!message.contains(&secret[..8]), "{}", message);
                }
            }
        }
    }
}
