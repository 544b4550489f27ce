//! How to read requests: a graph of the messages in `requests.txt`, with what each field means.
//!
//! The graph is built once. Messages without any text are left out, so that a reader skips them without looking inside. Fields
//! that exclude each other share a bit: requests that have two of them, or one of them twice, are refused. A decoder would take
//! the last, or merge them.

use std::collections::HashMap;

use super::{
    meaning::{self, Meaning},
    rpc::Rpc,
};

/// The first fields of a message have a slot each; the published messages have no text in higher ones than 20.
const SLOTS: usize = 32;
/// No field.
const NONE: u8 = u8::MAX;

/// Where a message is in a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(usize);

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A text.
    Text(Meaning),
    /// A message.
    Message(NodeId),
    /// Neither. It can only replace other fields of its oneof.
    Other,
}

/// How often a field holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Once.
    Single,
    /// In a list.
    List,
    /// In a map, by keys of any type.
    Map,
}

/// A field that can name something.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// Its number in the binary form.
    pub(super) number: u32,
    /// Its name in the message's definition.
    pub(super) name: Box<str>,
    /// Its name in JSON, where the name above is accepted as well.
    pub(super) json_name: Box<str>,
    /// What it holds.
    pub(super) content: Content,
    /// How often.
    pub(super) form: Form,
    /// Whether the identifiers in it are relations of the request's subject.
    pub(super) is_relation: bool,
    /// Whether the message in it is judged as a whole.
    pub(super) is_whole: bool,
    /// The bit of this field and of those that exclude it; 0 for lists and maps.
    pub(super) bit: u64,
}

/// How a message is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// As an object with a member for each field.
    Object,
    /// As the text of its only field: `google.protobuf.StringValue`.
    Text,
    /// As any JSON: `google.protobuf.Struct` and its parts.
    Any,
}

/// A message.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Those that can name something.
    pub(super) fields: Vec<Field>,
    /// The index in `fields` of each of the first field numbers.
    slots: [u8; SLOTS],
    /// How it is written in JSON.
    pub(super) json: Json,
    /// Whether it is `google.protobuf.Any`, whose content is a message of the type that it names.
    pub(super) is_any: bool,
    /// Whether one of its own fields is a part of an identifier.
    pub(super) is_identifier: bool,
    /// Whether it is the identifier of something in a project.
    pub(super) is_in_project: bool,
    holds_text: bool,
}

impl Node {
    fn new(name: &str) -> Self {
        Self {
            fields: Vec::new(),
            slots: [NONE; SLOTS],
            json: match name {
                "google.protobuf.StringValue" => Json::Text,
                "google.protobuf.Struct" | "google.protobuf.Value" | "google.protobuf.ListValue" => Json::Any,
                _ => Json::Object,
            },
            is_any: name == "google.protobuf.Any",
            is_identifier: false,
            is_in_project: meaning::is_in_project(name),
            holds_text: false,
        }
    }

    /// The field of this number, if it can name something.
    pub(super) fn by_number(&self, number: u32) -> Option<&Field> {
        match self.slots.get(number as usize) {
            Some(&slot) => self.fields.get(usize::from(slot)),
            None => self.fields.iter().find(|field| field.number == number),
        }
    }

    /// The field of this name in JSON, if it can name something.
    pub(super) fn by_name(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| *field.json_name == *name || *field.name == *name)
    }
}

/// An RPC and its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The row of the table.
    pub(super) rpc: &'static Rpc,
    /// The message; `None` if it cannot name anything.
    pub(super) request: Option<NodeId>,
}

/// The graph.
#[derive(Debug)]
pub(super) struct Plan {
    nodes: Vec<Node>,
    names: HashMap<Box<str>, NodeId>,
    rpcs: HashMap<&'static str, Entry>,
    /// What is wrong with the definitions. The door refuses everything then.
    pub(super) faults: Vec<String>,
}

impl Plan {
    /// The plan for these RPCs, by the definitions of their requests in the form of `requests.txt`.
    pub(super) fn new(rpcs: &'static [Rpc], definitions: &str) -> Self {
        let mut plan =
            Self { nodes: Vec::new(), names: HashMap::new(), rpcs: HashMap::new(), faults: Vec::new() };
        for name in definitions.lines().filter_map(|line| line.strip_prefix("message ")) {
            let id = NodeId(plan.nodes.len());
            plan.nodes.push(Node::new(name));
            if plan.names.insert(name.into(), id).is_some() {
                plan.faults.push(format!("message {name} is defined twice"));
            }
        }
        let mut message = "";
        let (mut requests, mut oneofs) = (HashMap::new(), HashMap::new());
        for line in definitions.lines().filter(|line| !line.is_empty()) {
            let words: Vec<_> = line.split(' ').collect();
            let understood = match *words {
                ["rpc", name, request] => requests.insert(name, request).is_none(),
                ["message", name] => {
                    message = name;
                    oneofs.clear();
                    true
                }
                [number, name, content] => plan.add_field(message, number, name, content, None, &mut oneofs),
                [number, name, content, oneof] => {
                    plan.add_field(message, number, name, content, Some(oneof), &mut oneofs)
                }
                _ => false,
            };
            if !understood {
                plan.faults.push(format!("line {line:?} is not understood"));
            }
        }
        plan.inherit_meanings();
        plan.prune();
        for rpc in rpcs {
            match requests.remove(rpc.name).and_then(|request| plan.names.get(request).copied()) {
                Some(request) => {
                    let request = plan.nodes[request.0].holds_text.then_some(request);
                    plan.rpcs.insert(rpc.name, Entry { rpc, request });
                }
                None => plan.faults.push(format!("RPC {} has no request message", rpc.name)),
            }
        }
        plan.faults.extend(requests.keys().map(|name| format!("RPC {name} has no row in the table")));
        plan
    }

    /// Adds a field to a message; `false` if it cannot be. `oneofs` has the bits of the message's oneofs.
    fn add_field<'d>(
        &mut self,
        message: &str,
        number: &str,
        name: &str,
        content: &str,
        oneof: Option<&'d str>,
        oneofs: &mut HashMap<&'d str, u64>,
    ) -> bool {
        let (Some(&NodeId(index)), Ok(number)) = (self.names.get(message), number.parse()) else {
            return false;
        };
        let (name, form) = if let Some(name) = name.strip_suffix('*') {
            (name, Form::List)
        } else if let Some(name) = name.strip_suffix("{}") {
            (name, Form::Map)
        } else {
            (name, Form::Single)
        };
        let content = match (content, self.names.get(content)) {
            ("text", _) => Content::Text(meaning::of(message, name)),
            ("other", _) => Content::Other,
            (_, Some(&id)) => Content::Message(id),
            (_, None) => return false,
        };
        if meaning::is_ignored(message, name) {
            return true;
        }
        let node = &mut self.nodes[index];
        let Some(next) = 1_u64.checked_shl(u32::try_from(node.fields.len()).unwrap_or(u32::MAX)) else {
            return false;
        };
        let bit = match (form, oneof) {
            (Form::List | Form::Map, _) => 0,
            (Form::Single, Some(oneof)) => *oneofs.entry(oneof).or_insert(next),
            (Form::Single, None) => next,
        };
        node.is_identifier |= matches!(
            content,
            Content::Text(Meaning::Organization | Meaning::Project | Meaning::Domain | Meaning::Run)
        );
        node.holds_text |= node.is_any || matches!(content, Content::Text(_));
        node.fields.push(Field {
            number,
            name: name.into(),
            json_name: json_name(name).into(),
            content,
            form,
            is_relation: meaning::is_relation(message, name),
            is_whole: meaning::is_whole(message, name),
            bit,
        });
        true
    }

    /// Gives the texts in some messages the meaning of the field that the message is in.
    fn inherit_meanings(&mut self) {
        for (message, field, meaning) in meaning::INHERITED {
            let Some(&NodeId(index)) = self.names.get(*message) else { continue };
            let Some(position) = self.nodes[index].fields.iter().position(|known| *known.name == **field)
            else {
                continue;
            };
            if let Content::Message(inner) = self.nodes[index].fields[position].content {
                let copy = self.copy_with(inner, *meaning);
                self.nodes[index].fields[position].content = Content::Message(copy);
            }
        }
    }

    /// A copy of a message, all texts of which have this meaning. The message does not contain itself.
    fn copy_with(&mut self, NodeId(index): NodeId, meaning: Meaning) -> NodeId {
        let mut copy = self.nodes[index].clone();
        for field in &mut copy.fields {
            match field.content {
                Content::Text(_) => field.content = Content::Text(meaning),
                Content::Message(inner) => field.content = Content::Message(self.copy_with(inner, meaning)),
                Content::Other => {}
            }
        }
        self.nodes.push(copy);
        NodeId(self.nodes.len() - 1)
    }

    /// Drops the fields whose messages cannot hold any text, and fills the slots.
    fn prune(&mut self) {
        // Messages contain each other in circles, so that this is repeated until nothing changes.
        loop {
            let found: Vec<_> = (0..self.nodes.len())
                .filter(|&index| !self.nodes[index].holds_text)
                .filter(|&index| {
                    self.nodes[index]
                        .fields
                        .iter()
                        .any(|field| field.content != Content::Other && self.holds_text(field))
                })
                .collect();
            if found.is_empty() {
                break;
            }
            for index in found {
                self.nodes[index].holds_text = true;
            }
        }
        for index in 0..self.nodes.len() {
            let mut fields = std::mem::take(&mut self.nodes[index].fields);
            fields.retain(|field| self.holds_text(field));
            let node = &mut self.nodes[index];
            for (position, field) in fields.iter().enumerate() {
                if let Some(slot) = node.slots.get_mut(field.number as usize) {
                    *slot = u8::try_from(position).unwrap_or(NONE);
                }
            }
            node.fields = fields;
        }
    }

    fn holds_text(&self, field: &Field) -> bool {
        match field.content {
            Content::Text(_) => true,
            Content::Message(id) => self.nodes[id.0].holds_text,
            // It matters in its oneof.
            Content::Other => true,
        }
    }

    /// The RPC of this name, `package.Service/Method`.
    pub(super) fn rpc(&self, name: &str) -> Option<Entry> {
        self.rpcs.get(name).copied()
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// The message of this name.
    pub(super) fn message(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }
}

/// The name of a field in JSON: lowerCamelCase, as `protoc` makes it.
fn json_name(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut capital = false;
    for c in name.chars() {
        match (c, capital) {
            ('_', _) => capital = true,
            (c, true) => {
                camel.push(c.to_ascii_uppercase());
                capital = false;
            }
            (c, false) => camel.push(c),
        }
    }
    camel
}
