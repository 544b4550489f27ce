//! Random messages, by their definitions.

use std::collections::HashMap;

use flyte_access::door::Reach;
use serde_json::{Map, Value, json};

use super::super::{
    plan::{ANSWERS, json_name},
    table::Row,
};

/// How deep messages lie in each other at most, beyond what an item must have.
const DEPTH: u32 = 5;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    number: u32,
    name: &'static str,
    form: char,
    content: &'static str,
    /// The oneof that it is in, if that is known.
    oneof: &'static str,
}

/// A message, or a value in it.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Message { fields: Vec<(Field, Vec<Tree>)>, is_foreign: bool },
    Text(String),
    Number(u64),
}

/// The definitions.
pub(crate) struct Messages {
    messages: HashMap<&'static str, Vec<Field>>,
    rpcs: HashMap<&'static str, &'static str>,
}

/// A generator of numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// Where what is generated belongs.
#[derive(Clone, Copy)]
struct Place {
    project: &'static str,
    domain: &'static str,
}

const OWN: Place = Place { project: "own", domain: "development" };
const FOREIGN: [Place; 2] = [
    Place { project: "foreign", domain: "development" },
    // Of the caller's project; foreign to those who are limited to a domain.
    Place { project: "own", domain: "foreign" },
];

impl Place {
    fn is_foreign(self) -> bool {
        self.project == "foreign" || self.domain == "foreign"
    }
}

/// Fields in which identifiers do not count: who did something, and where an image was built.
const IGNORED: [&str; 5] = ["aborted_by", "signalled_by", "actor", "creator", "image_build_run"];

/// What generating a message needs to know.
#[derive(Clone, Copy)]
struct Context<'c> {
    row: &'c Row,
    has_domain: bool,
    place: Place,
    depth: u32,
    /// Whether only messages that are there once are around it.
    is_top: bool,
    /// Whether the answer spans projects.
    spans: bool,
}

impl Messages {
    pub(super) fn of_answers() -> Self {
        Self::of(ANSWERS)
    }

    /// The messages of these definitions.
    pub(crate) fn of(definitions: &'static str) -> Self {
        let (mut messages, mut rpcs) = (HashMap::new(), HashMap::new());
        let mut message = "";
        for line in definitions.lines() {
            match *line.split(' ').collect::<Vec<_>>() {
                ["rpc", rpc, answer] => drop(rpcs.insert(rpc, answer)),
                ["message", name] => {
                    message = name;
                    messages.insert(name, Vec::new());
                }
                [number, name, content, ref oneof @ ..] => {
                    let oneof = oneof.first().copied().unwrap_or_default();
                    let form = name.chars().last().filter(|form| "*}".contains(*form)).unwrap_or(' ');
                    let name = name.trim_end_matches(['*', '{', '}']);
                    let number = number.parse().unwrap();
                    messages.get_mut(message).unwrap().push(Field { number, name, form, content, oneof });
                }
                _ => {}
            }
        }
        Self { messages, rpcs }
    }

    /// An answer in which each item belongs somewhere.
    pub(super) fn random(&self, row: &Row, seed: u64, has_domain: bool) -> Tree {
        let spans = super::rpc(row.rpc).reach == Reach::Projects;
        let context = Context { row, has_domain, place: OWN, depth: 0, is_top: true, spans };
        self.message(self.rpcs[row.rpc], "", &context, &mut Random(seed))
    }

    /// A request that belongs to `own` and `development`.
    pub(crate) fn request(&self, rpc: &str, seed: u64) -> Tree {
        const NOTHING: Row =
            Row { rpc: "", items: &[], totals: &[], scope: None, needs_scope: false, is_stream: false };
        let context =
            Context { row: &NOTHING, has_domain: false, place: OWN, depth: 0, is_top: false, spans: false };
        self.message(self.rpcs[rpc], "", &context, &mut Random(seed))
    }

    /// Whether the field at this path is one by which an item is judged, or lies around one.
    fn is_needed(row: &Row, path: &str) -> bool {
        let leads_to =
            |whole: &str| whole == path || whole.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
        row.items.iter().any(|item| item.names.iter().any(|name| leads_to(&format!("{}.{name}", item.path))))
    }

    fn message(&self, name: &str, path: &str, context: &Context<'_>, random: &mut Random) -> Tree {
        let mut fields: Vec<(Field, Vec<Tree>)> = Vec::new();
        // The events of a stream exclude each other.
        let events = context.row.is_stream && path.is_empty() && self.messages[name].len() == 3;
        let event = random.below(3);
        for (index, field) in self.messages[name].iter().enumerate() {
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            let is_needed = Self::is_needed(context.row, &path);
            let is_chosen = match events {
                true => event == index as u64,
                false => {
                    is_needed && !context.is_top
                        || context.depth < DEPTH && random.below(3) == 0
                        || is_part(name, field.name).is_some()
                        || (context.is_top || context.depth == 0) && random.below(4) > 0
                }
            };
            let is_taken =
                |(other, _): &(Field, Vec<Tree>)| !field.oneof.is_empty() && other.oneof == field.oneof;
            if !is_chosen || fields.iter().any(is_taken) || IGNORED.contains(&field.name) {
                continue;
            }
            let count = if field.form == '*' { random.below(4) } else { 1 };
            let values =
                (0..count).map(|_| self.value(name, field, &path, events, context, random)).collect();
            fields.push((field.clone(), values));
        }
        Tree::Message { fields, is_foreign: false }
    }

    fn value(
        &self,
        message: &str,
        field: &Field,
        path: &str,
        is_event: bool,
        context: &Context<'_>,
        random: &mut Random,
    ) -> Tree {
        let mut place = context.place;
        let is_message = self.messages.contains_key(field.content);
        // Each element of a list at the top, each event, and what the table names below.
        let is_item = is_message
            && (is_event
                || context.spans && context.is_top && field.form == '*'
                || context.row.items.iter().any(|item| item.path == path));
        if is_item && !place.is_foreign() && random.below(2) == 0 {
            place = FOREIGN[if context.has_domain { usize::try_from(random.below(2)).unwrap() } else { 0 }];
            if path.ends_with(".domains") {
                // A domain has no project.
                place = FOREIGN[1];
            } else if field.content == "flyteidl2.project.Project" {
                place = FOREIGN[0];
            }
            if place.domain == "foreign" && !context.has_domain {
                place = OWN;
            }
        }
        match field.content {
            "text" => Tree::Text(match is_part(message, field.name) {
                Some(true) => place.project.to_owned(),
                Some(false) => place.domain.to_owned(),
                None if place.is_foreign() => format!("foreign-{}", random.below(1000)),
                // An object in the store.
                None if is_uri(field.name) => format!("s3://bucket/{}/{}/x", place.project, place.domain),
                None => format!("text-{}", random.below(1000)),
            }),
            "other" => Tree::Number(random.below(1 << 40)),
            content => {
                let is_top = context.is_top && field.form == ' ' && !is_event;
                let inner = Context { place, depth: context.depth + 1, is_top, ..*context };
                let Tree::Message { fields, .. } = self.message(content, path, &inner, random) else {
                    unreachable!("a message was asked for")
                };
                Tree::Message { fields, is_foreign: is_item && place.is_foreign() }
            }
        }
    }

    /// The answer without the counts.
    pub(super) fn without_totals(&self, row: &Row, answer: &Tree) -> Tree {
        let Tree::Message { fields, .. } = answer else { unreachable!("an answer is a message") };
        let fields = fields.iter().filter(|(field, _)| !row.totals.contains(&field.name)).cloned().collect();
        Tree::Message { fields, is_foreign: false }
    }
}

fn is_uri(name: &str) -> bool {
    ["uri", "prefix", "base_dir", "output_base"].iter().any(|part| name.contains(part))
}

/// Whether a field is the project (`true`) or the domain of an identifier.
fn is_part(message: &str, field: &str) -> Option<bool> {
    match (message, field) {
        ("flyteidl2.common.ProjectIdentifier" | "flyteidl2.common.Project", "name") => Some(true),
        ("flyteidl2.project.Project" | "flyteidl2.project.GetProjectRequest", "id") => Some(true),
        ("flyteidl2.common.DomainIdentifier" | "flyteidl2.common.Domain", "name") => Some(false),
        ("flyteidl2.project.Domain", "id") => Some(false),
        (request, "id") if request.starts_with("flyteidl2.org.") => Some(false),
        (_, "project") => Some(true),
        (_, "domain") => Some(false),
        _ => None,
    }
}

impl Tree {
    pub(super) fn empty() -> Self {
        Self::Message { fields: Vec::new(), is_foreign: false }
    }

    /// Whether this text is in it.
    pub(crate) fn has_text(&self, sought: &str) -> bool {
        match self {
            Self::Message { fields, .. } => {
                fields.iter().flat_map(|(_, values)| values).any(|value| value.has_text(sought))
            }
            Self::Text(text) => text == sought,
            Self::Number(_) => false,
        }
    }

    pub(super) fn has_foreign(&self) -> bool {
        match self {
            Self::Message { fields, is_foreign } => {
                *is_foreign || fields.iter().flat_map(|(_, values)| values).any(Self::has_foreign)
            }
            Self::Text(_) | Self::Number(_) => false,
        }
    }

    /// What is left for the caller.
    pub(super) fn without_foreign(&self) -> Option<Self> {
        match self {
            Self::Message { is_foreign: true, .. } => None,
            Self::Message { fields, .. } => {
                let fields = fields.iter().filter_map(|(field, values)| {
                    let values: Vec<_> = values.iter().filter_map(Self::without_foreign).collect();
                    (!values.is_empty()).then(|| (field.clone(), values))
                });
                Some(Self::Message { fields: fields.collect(), is_foreign: false })
            }
            other => Some(other.clone()),
        }
    }
}

fn varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

fn write(number: u32, content: &[u8], into: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | 2, into);
    varint(content.len() as u64, into);
    into.extend_from_slice(content);
}

/// The binary form.
pub(crate) fn encode(tree: &Tree) -> Vec<u8> {
    match tree {
        Tree::Text(text) => text.clone().into_bytes(),
        Tree::Number(_) => unreachable!("a number has no length"),
        Tree::Message { fields, .. } => {
            let mut bytes = Vec::new();
            for (field, values) in fields {
                for value in values {
                    match (value, field.form) {
                        (Tree::Number(number), _) => {
                            varint(u64::from(field.number) << 3, &mut bytes);
                            varint(*number, &mut bytes);
                        }
                        (value, '}') => {
                            let mut entry = Vec::new();
                            write(1, b"key", &mut entry);
                            write(2, &encode(value), &mut entry);
                            write(field.number, &entry, &mut bytes);
                        }
                        (value, _) => write(field.number, &encode(value), &mut bytes),
                    }
                }
            }
            bytes
        }
    }
}

/// The JSON form.
pub(crate) fn to_json(tree: &Tree) -> Value {
    match tree {
        Tree::Text(text) => json!(text),
        Tree::Number(number) => json!(number.to_string()),
        Tree::Message { fields, .. } => {
            let mut members = Map::new();
            for (field, values) in fields {
                let mut values = values.iter().map(to_json);
                let value = match field.form {
                    '*' => values.collect(),
                    '}' => json!({"key": values.next()}),
                    _ => values.next().unwrap_or_default(),
                };
                if value.as_array().is_none_or(|list| !list.is_empty()) {
                    members.insert(json_name(field.name), value);
                }
            }
            Value::Object(members)
        }
    }
}
