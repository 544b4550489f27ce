//! An answer that is about something of another project is no answer.

use std::collections::{HashMap, HashSet};

use flyte_access::door::RequiredScope;
use serde_json::Value;

use super::{
    super::{
        plan::{ANSWERS, Identity, Name, Node},
        subjects::SUBJECTS,
    },
    *,
};

/// The items of an answer: the way to each, and where it says to which project it belongs.
fn items<'n>(node: &'n Node, path: &[&'n Name], found: &mut Vec<(Vec<&'n Name>, &'n Identity)>) {
    for field in &node.fields {
        let path = [path, &[&field.name]].concat();
        items(&field.inner, &path, found);
        if let Some(identity) = &field.identity {
            found.push((path, identity));
        }
    }
}

/// A message with texts at the end of a way, in both forms.
fn message(way: &[&Name], texts: &[(&Option<Name>, &str)]) -> (Vec<u8>, Value) {
    let field = |name: &Name, content: &[u8]| {
        [&[u8::try_from(name.number << 3 | 2).unwrap(), u8::try_from(content.len()).unwrap()], content]
            .concat()
    };
    let (mut binary, mut json) = (Vec::new(), serde_json::Map::new());
    for (name, text) in texts {
        if let Some(name) = name.as_ref().filter(|_| !text.is_empty()) {
            binary.extend(field(name, text.as_bytes()));
            json.insert(name.json.to_string(), json!(text));
        }
    }
    let mut json = Value::Object(json);
    for name in way.iter().rev() {
        binary = field(name, &binary);
        json = json!({&*name.json: json});
    }
    (binary, json)
}

#[test]
fn what_an_answer_is_about_must_be_the_callers() {
    let caller = caller("own", "development");
    let mut checked = 0;
    for row in SUBJECTS {
        let mut found = Vec::new();
        items(&Plan::published().unwrap().rpc(row.rpc).unwrap().answer, &[], &mut found);
        assert_eq!(found.len(), row.items.len(), "{}", row.rpc);
        for (path, identity) in found {
            for way in &identity.ways {
                let way = [&path[..], &way.iter().collect::<Vec<_>>()].concat();
                for (project, domain, is_own) in [
                    ("own", "development", true),
                    ("own", "", true),
                    ("", "", true),
                    ("other", "development", false),
                    ("own", "production", false),
                    ("other", "", false),
                ] {
                    let texts = [(&identity.project, project), (&identity.domain, domain)];
                    let (binary, json) = message(&way, &texts);
                    let in_binary = filter(&caller, row.rpc, Codec::Proto).message(&binary);
                    let json = json.to_string();
                    let in_json = filter(&caller, row.rpc, Codec::Json).message(json.as_bytes());
                    let place = format!("{} {json}", row.rpc);
                    checked += 1;
                    if is_own {
                        assert_eq!(
                            (in_binary, in_json),
                            (Ok(Some(binary)), Ok(Some(json.into_bytes()))),
                            "{place}"
                        );
                    } else if identity.is_subject {
                        assert_eq!(
                            (in_binary, in_json),
                            (Err(Withheld::Foreign), Err(Withheld::Foreign)),
                            "{place}"
                        );
                    } else {
                        let left = [in_binary.unwrap(), in_json.unwrap()];
                        for left in left.iter().flatten() {
                            let text = String::from_utf8_lossy(left);
                            assert!(
                                !text.contains("other") && !text.contains("production"),
                                "{place}: {text}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 200, "{checked}");
}

/// The messages of the answers: the fields that are texts or messages.
fn definitions() -> HashMap<&'static str, Vec<(&'static str, &'static str)>> {
    let blocks = ANSWERS.split("\n\n").filter_map(|block| block.trim().strip_prefix("message "));
    let fields = |block: &'static str| {
        let mut lines = block.lines();
        let name = lines.next().unwrap();
        let fields = lines.map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (words[1], words[2])
        });
        (name, fields.collect())
    };
    blocks.map(fields).collect()
}

/// Whether a message names a project and a domain, itself or in its parts.
fn names_project(
    message: &str,
    definitions: &HashMap<&'static str, Vec<(&'static str, &'static str)>>,
    seen: &mut HashSet<String>,
) -> bool {
    let Some(fields) = definitions.get(message).filter(|_| seen.insert(message.to_owned())) else {
        return false;
    };
    let has = |name| fields.contains(&(name, "text"));
    has("project") && has("domain")
        || fields.iter().any(|(_, content)| names_project(content, definitions, seen))
}

/// RPCs that answer with values, which can say from which artifact they came.
const VALUES: [&str; 4] = [
    "flyteidl2.dataproxy.DataProxyService/GetActionData",
    "flyteidl2.workflow.RunService/GetActionData",
    "flyteidl2.workflow.TranslatorService/JsonValuesToLiterals",
    "flyteidl2.workflow.TranslatorService/LaunchFormJsonToLiterals",
];

#[test]
fn every_answer_that_names_a_project_is_looked_at() {
    let definitions = definitions();
    let (mut named, mut unnamed) = (0, 0);
    for rpc in
        RPCS.iter().filter(|rpc| rpc.name.starts_with("flyteidl2.") && rpc.callers != Callers::Internal)
    {
        if rpc.scope == RequiredScope::None || VALUES.contains(&rpc.name) {
            continue;
        }
        let line = format!("rpc {} ", rpc.name);
        let answer = ANSWERS.lines().find_map(|one| one.strip_prefix(line.as_str()));
        let answer = answer.unwrap_or_else(|| panic!("answers.txt lacks {}", rpc.name));
        if names_project(answer, &definitions, &mut HashSet::new()) {
            named += 1;
            assert!(Plan::published().unwrap().rpc(rpc.name).is_some(), "{} has no row", rpc.name);
        } else {
            unnamed += 1;
        }
    }
    assert!(named > 40 && unnamed > 30, "{named} {unnamed}");
}

#[test]
fn the_identifier_of_a_new_run_is_where_it_is_read() {
    let number = |message: &str, name: &str| {
        let block =
            ANSWERS.split("\n\n").find(|block| block.starts_with(&format!("message {message}\n"))).unwrap();
        let line = block.lines().find(|line| line.split(' ').nth(1) == Some(name)).unwrap();
        line.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    for (message, (field, name)) in [
        ("flyteidl2.workflow.CreateRunResponse", crate::new_run::RUN[0]),
        ("flyteidl2.workflow.Run", crate::new_run::RUN[1]),
        ("flyteidl2.workflow.Action", crate::new_run::RUN[2]),
        ("flyteidl2.common.ActionIdentifier", crate::new_run::RUN[3]),
        ("flyteidl2.common.RunIdentifier", crate::namesakes::PARTS[0]),
        ("flyteidl2.common.RunIdentifier", crate::namesakes::PARTS[1]),
        ("flyteidl2.common.RunIdentifier", crate::namesakes::PARTS[2]),
    ] {
        assert_eq!(number(message, name), field, "{message}.{name}");
    }
}

#[test]
fn no_rpc_has_two_rows() {
    let mut names = HashSet::new();
    for row in ROWS.iter().chain(SUBJECTS) {
        assert!(names.insert(row.rpc), "{}", row.rpc);
        assert!(row.is_stream || !rpc(row.rpc).method().starts_with("Watch") || row.items.is_empty());
    }
}
