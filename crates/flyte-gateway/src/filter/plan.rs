//! How to read the answers of the [table](super::table): their fields by number and by name, from `answers.txt`.

use std::{collections::HashMap, sync::LazyLock};

use super::{
    subjects::SUBJECTS,
    table::{Item, Parts, ROWS, Row},
};

/// The messages of the answers, as `tests/peers/published-requests.py --answers` prints them.
pub(super) const ANSWERS: &str = include_str!("answers.txt");

static PLAN: LazyLock<Result<Plan, Fault>> = LazyLock::new(|| Plan::new(&[ROWS, SUBJECTS], ANSWERS));

/// A path or a message of the table that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {0}")]
pub(super) struct Fault(String);

/// A field, by all its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) number: u32,
    pub(super) proto: Box<str>,
    pub(super) json: Box<str>,
}

/// Where an item says which project and domain it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The ways from the item to the messages that do.
    pub(super) ways: Vec<Vec<Name>>,
    pub(super) project: Option<Name>,
    pub(super) domain: Option<Name>,
    pub(super) may_be_shared: bool,
    pub(super) is_subject: bool,
}

/// What becomes of a field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: Name,
    /// By what it is judged.
    pub(super) identity: Option<Identity>,
    pub(super) is_total: bool,
    /// What becomes of the fields in it.
    pub(super) inner: Node,
}

/// What becomes of the fields of a message. Fields that are not listed stay.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) fields: Vec<Field>,
}

/// The answer of an RPC.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) row: &'static Row,
    pub(super) answer: Node,
    /// Whether there is no answer if it is about something else.
    pub(super) has_subject: bool,
}

/// All answers.
#[derive(Debug)]
pub(super) struct Plan {
    entries: HashMap<&'static str, Entry>,
}

/// The fields of each message: name and type.
type Messages<'d> = HashMap<&'d str, Vec<(Name, &'d str)>>;

impl Plan {
    /// The plan of the published answers.
    pub(super) fn published() -> Result<&'static Self, Fault> {
        PLAN.as_ref().map_err(Clone::clone)
    }

    pub(super) fn new(tables: &[&'static [Row]], definitions: &str) -> Result<Self, Fault> {
        let mut messages = Messages::new();
        let mut answers = HashMap::new();
        let mut message = "";
        for line in definitions.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["rpc", rpc, answer] => {
                    answers.insert(rpc, answer);
                }
                ["message", name] => {
                    message = name;
                    messages.insert(name, Vec::new());
                }
                [number, name, content, ..] => {
                    let name = name.trim_end_matches(['*', '{', '}']);
                    let number = number.parse().map_err(|_| Fault(line.to_owned()))?;
                    let name = Name { number, proto: name.into(), json: json_name(name).into() };
                    messages.entry(message).or_default().push((name, content));
                }
                _ => {}
            }
        }
        let mut entries = HashMap::new();
        for row in tables.iter().flat_map(|rows| rows.iter()) {
            let answer = answers.get(row.rpc).ok_or_else(|| Fault(row.rpc.to_owned()))?;
            let mut node = Node::default();
            for item in row.items {
                let (field, content) = node.reach(&messages, answer, item.path)?;
                field.identity = Some(identity(&messages, content, item)?);
            }
            for total in row.totals {
                node.reach(&messages, answer, total)?.0.is_total = true;
            }
            let has_subject = row.items.iter().any(|item| item.is_subject);
            entries.insert(row.rpc, Entry { row, answer: node, has_subject });
        }
        Ok(Self { entries })
    }

    pub(super) fn rpc(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }
}

impl Node {
    /// The field at the end of a path through `message`, and what it holds.
    fn reach<'d>(
        &mut self,
        messages: &Messages<'d>,
        message: &str,
        path: &str,
    ) -> Result<(&mut Field, &'d str), Fault> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let (name, content) = find(messages, message, first)?;
        let index = match self.fields.iter().position(|field| field.name == name) {
            Some(index) => index,
            None => {
                self.fields.push(Field { name, identity: None, is_total: false, inner: Self::default() });
                self.fields.len() - 1
            }
        };
        let field = &mut self.fields[index];
        match rest {
            Some(rest) => field.inner.reach(messages, content, rest),
            None => Ok((field, content)),
        }
    }
}

fn find<'d>(messages: &Messages<'d>, message: &str, field: &str) -> Result<(Name, &'d str), Fault> {
    let fields = messages.get(message).ok_or_else(|| Fault(message.to_owned()))?;
    let found = fields.iter().find(|(name, _)| *name.proto == *field);
    found.cloned().ok_or_else(|| Fault(format!("{message}.{field}")))
}

fn identity(messages: &Messages<'_>, message: &str, item: &Item) -> Result<Identity, Fault> {
    let Parts { project, domain } = item.parts;
    let Item { may_be_shared, is_subject, .. } = *item;
    let mut identity = Identity { ways: Vec::new(), project: None, domain: None, may_be_shared, is_subject };
    // An item that names itself has an empty way.
    let ways = if item.names.is_empty() { &[""][..] } else { item.names };
    for way in ways {
        let (mut names, mut message) = (Vec::new(), message);
        for step in way.split('.').filter(|step| !step.is_empty()) {
            let (name, content) = find(messages, message, step)?;
            names.push(name);
            message = content;
        }
        identity.ways.push(names);
        for (part, field) in [(&mut identity.project, project), (&mut identity.domain, domain)] {
            if !field.is_empty() {
                *part = Some(find(messages, message, field)?.0);
            }
        }
    }
    Ok(identity)
}

/// The name of a field in JSON: lowerCamelCase, as `protoc` makes it.
pub(crate) fn json_name(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (first, rest) = part.split_at(part.len().min(1));
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}
