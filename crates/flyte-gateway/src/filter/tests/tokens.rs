//! A page token says nothing, and is valid for one caller's limit and one list.

use flyte_access::testing::Parts;
use serde_json::Value;

use super::{
    super::{
        edit::{Edit, edit},
        tokens,
    },
    *,
};
use crate::message::Field;

const ORIGINAL: &str = "offset-42";

fn of(caller: &Caller, name: &str, codec: Codec, parts: &Parts) -> Filter {
    filter(caller, name, codec).with_tokens(rpc(name), &parts.keys)
}

/// A message with a text at the end of a way, and another field.
fn message(codec: Codec, way: &[Field], text: &str, other: &str) -> Vec<u8> {
    match codec {
        Codec::Proto => {
            let write = |number: u32, content: &[u8]| {
                let mut length = vec![u8::try_from(content.len() & 0x7f).unwrap()];
                if content.len() > 0x7f {
                    length = vec![length[0] | 0x80, u8::try_from(content.len() >> 7).unwrap()];
                }
                [&[u8::try_from(number << 3 | 2).unwrap()], &length[..], content].concat()
            };
            let message =
                way.iter().rev().fold(text.as_bytes().to_vec(), |inner, (number, step)| match *step {
                    // An entry of a map has a key.
                    "*" => [write(1, b"cluster"), write(*number, &inner)].concat(),
                    _ => write(*number, &inner),
                });
            [message, write(15, other.as_bytes())].concat()
        }
        Codec::Json => {
            let name = |name: &str| if name == "*" { "cluster".to_owned() } else { json_name(name) };
            let last = if way.is_empty() { json!({}) } else { json!(text) };
            let mut message: Value =
                way.iter().rev().fold(last, |inner, (_, step)| json!({name(step): inner}));
            message["other"] = json!(other);
            message.to_string().into_bytes()
        }
    }
}

/// The text at the end of a way.
fn text(codec: Codec, way: &[Field], message: &[u8]) -> String {
    let mut found = None;
    edit(message, codec, way, &mut |text| {
        found = text.map(str::to_owned);
        Ok(Edit::Keep)
    })
    .unwrap();
    found.unwrap()
}

#[tokio::test]
async fn a_token_says_nothing_and_is_for_one_limit_and_one_list() {
    let parts = Parts::new(|_| {}).await;
    let ada = caller("own", "development");
    let lists: Vec<_> = tokens::lists().collect();
    assert_eq!(lists.len(), 12);
    for codec in [Codec::Proto, Codec::Json] {
        for (name, asked, answered) in &lists {
            for (asked, answered) in asked.iter().zip(answered) {
                let open = |caller: &Caller, name: &str, token: &str, other: &str| {
                    let opened =
                        of(caller, name, codec, &parts).see_request(&message(codec, asked, token, other));
                    opened.map(|opened| text(codec, asked, &opened.unwrap())).map_err(|refusal| refusal.code)
                };
                // The list is asked for, and answered with a token.
                let first = of(&ada, name, codec, &parts);
                assert!(first.see_request(&message(codec, &[], "", "list")).is_ok());
                let answer = first.message(&message(codec, answered, ORIGINAL, "")).unwrap().unwrap();
                let token = text(codec, answered, &answer);
                assert!(!token.contains(ORIGINAL) && token.len() > 100, "{name}: {token}");
                // A longer one is not longer.
                let longer = first.message(&message(codec, answered, "1234567", "")).unwrap().unwrap();
                assert_eq!(text(codec, answered, &longer).len(), token.len());
                // The last page has none.
                let last = first.message(&message(codec, answered, "", "")).unwrap().unwrap();
                assert_eq!(last, message(codec, answered, "", ""), "{name}");

                assert_eq!(open(&ada, name, &token, "list"), Ok(ORIGINAL.to_owned()), "{name}");
                let refused = Err(Code::InvalidArgument);
                assert_eq!(open(&ada, name, &token, "another list"), refused, "{name}");
                assert_eq!(open(&ada, name, ORIGINAL, "list"), refused, "{name}");
                assert_eq!(open(&caller("own", ""), name, &token, "list"), refused, "{name}");
                assert_eq!(open(&caller("other", "development"), name, &token, "list"), refused, "{name}");
                let same_form = |(other, ways, _): &&(&str, Vec<_>, _)| other != name && ways == &[*asked];
                if let Some((elsewhere, ..)) = lists.iter().find(same_form) {
                    assert_eq!(open(&ada, elsewhere, &token, "list"), refused, "{name}");
                }
                assert_eq!(open(&ada, name, "", "list"), Ok(String::new()), "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_continues_its_list_whatever_the_size_of_the_page_is() {
    let parts = Parts::new(|_| {}).await;
    let ada = caller("own", "development");
    const LIST_RUNS: &str = "flyteidl2.workflow.RunService/ListRuns";
    let first = of(&ada, LIST_RUNS, Codec::Json, &parts);
    first.see_request(br#"{"org":"o","request":{"limit":10,"sortBy":{"key":"k"}}}"#).unwrap();
    let answer = first.message(br#"{"runs":[],"token":"10"}"#).unwrap().unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let token = answer["token"].as_str().unwrap();
    let next = |request: Value| {
        let opened = of(&ada, LIST_RUNS, Codec::Json, &parts).see_request(request.to_string().as_bytes())?;
        Ok::<Value, Refusal>(serde_json::from_slice(&opened.unwrap()).unwrap())
    };
    let same = json!({"request": {"token": token, "sortBy": {"key": "k"}, "limit": 5}, "org": "o"});
    assert_eq!(next(same).unwrap()["request"]["token"], "10");
    let mut altered = token.to_owned().into_bytes();
    for at in 0..altered.len() {
        let byte = altered[at];
        altered[at] = if byte == b'A' { b'B' } else { b'A' };
        let token = String::from_utf8(altered.clone()).unwrap();
        let request = json!({"request": {"token": token, "sortBy": {"key": "k"}}, "org": "o"});
        assert_eq!(next(request).unwrap_err().code, Code::InvalidArgument, "{at}");
        altered[at] = byte;
    }
    for request in [
        json!({"request": {"token": token, "sortBy": {"key": "other"}}, "org": "o"}),
        json!({"request": {"token": token}, "org": "o"}),
    ] {
        let refusal = next(request).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert!(refusal.message.starts_with("request.token is no page token"), "{}", refusal.message);
    }
}

#[test]
fn every_list_with_a_token_has_its_tokens_encrypted() {
    let listed: Vec<_> = tokens::lists().map(|(rpc, ..)| rpc).collect();
    let mut found = 0;
    for line in super::super::plan::ANSWERS.lines() {
        let ["rpc", rpc, answer] = *line.split(' ').collect::<Vec<_>>() else { continue };
        let block = |name: &str| {
            let start = format!("message {name}\n");
            super::super::plan::ANSWERS
                .split("\n\n")
                .find_map(|one| one.strip_prefix(start.as_str()))
                .unwrap_or_default()
        };
        let mut texts = block(answer).to_owned();
        for line in block(answer).lines() {
            texts += block(line.split(' ').nth(2).unwrap());
        }
        if rpc.contains("/List") && texts.lines().any(|line| line.contains(" token text")) {
            found += 1;
            assert!(listed.contains(&rpc), "{rpc}");
        }
    }
    assert_eq!(found, listed.len());
}
