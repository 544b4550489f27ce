//! Page tokens. Those of a backend count what others have, or name it: a Flyte 2 backend has offsets, and of apps the name of
//! the last object. Callers who are limited to a project get them encrypted.
//!
//! A token is valid for the callers with the same limit, and for the list that it was made for: the same RPC and the same request,
//! but for the token and the size of the page. All replicas share the key.

use std::sync::{Arc, OnceLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use flyte_keys::SigningKeys;
use flyte_protocol::{Code, Codec, Refusal};

use super::{
    Unreadable,
    edit::{Edit, edit, without},
    limit::Sight,
};
use crate::message::Field;

/// The lengths that an encrypted token is padded to, in bytes: its own length must not tell how many digits it has.
const PADDING: usize = 64;
/// The length of the length.
const HEAD: usize = 4;

/// Where a list has its tokens.
#[derive(Debug)]
struct Paging {
    rpc: &'static str,
    /// The ways to the tokens of a request.
    asked: &'static [&'static [Field]],
    /// The way to the size of a page.
    size: &'static [Field],
    /// The ways to the tokens of an answer.
    answered: &'static [&'static [Field]],
}

const REQUEST: Field = (1, "request");
const TOKEN: Field = (2, "token");
const SIZE: &[Field] = &[REQUEST, (1, "limit")];

/// The fields of `flyteidl2.common.ListRequest`, and a token beside the items.
const fn list(rpc: &'static str) -> Paging {
    Paging { rpc, asked: &[&[REQUEST, TOKEN]], size: SIZE, answered: &[&[TOKEN]] }
}

const LISTS: &[Paging] = &[
    list("flyteidl2.app.AppService/List"),
    list("flyteidl2.artifact.ArtifactService/ListArtifactNames"),
    list("flyteidl2.artifact.ArtifactService/ListArtifacts"),
    Paging {
        rpc: "flyteidl2.project.ProjectService/ListProjects",
        asked: &[&[TOKEN]],
        size: &[(1, "limit")],
        answered: &[&[(1, "projects"), TOKEN]],
    },
    Paging {
        rpc: "flyteidl2.secret.SecretService/ListSecrets",
        // The values of a map.
        asked: &[&[(5, "token")], &[(6, "per_cluster_tokens"), (2, "*")]],
        size: &[(4, "limit")],
        answered: &[&[TOKEN], &[(3, "per_cluster_tokens"), (2, "*")]],
    },
    list("flyteidl2.task.TaskService/ListTasks"),
    list("flyteidl2.task.TaskService/ListVersions"),
    list("flyteidl2.trigger.TriggerService/ListTriggers"),
    list("flyteidl2.workflow.RunService/ListActions"),
    list("flyteidl2.workflow.RunService/ListRuns"),
    list("flyteidl2.workflow.TrackedRunService/ListActions"),
    list("flyteidl2.workflow.TrackedRunService/ListRuns"),
];

/// The tokens of one call.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    paging: &'static Paging,
    codec: Codec,
    keys: Arc<SigningKeys>,
    /// Who may use a token of this call for what.
    context: Arc<OnceLock<String>>,
}

impl Tokens {
    /// Those of an RPC; `None` if it has none.
    pub(super) fn of(rpc: &str, codec: Codec, keys: &Arc<SigningKeys>) -> Option<Self> {
        let paging = LISTS.iter().find(|paging| paging.rpc == rpc)?;
        Some(Self { paging, codec, keys: Arc::clone(keys), context: Arc::default() })
    }

    /// The request with the backend's tokens in place of ours.
    ///
    /// # Errors
    /// A refusal if it has a token that is not one of ours for this caller and this list.
    pub(super) fn open(&self, message: &[u8], sight: &Sight) -> Result<Vec<u8>, Refusal> {
        let unreadable = |_| Refusal::new(Code::InvalidArgument, "the request cannot be read");
        let mut list = message.to_vec();
        for way in self.paging.asked.iter().chain([&self.paging.size]) {
            let removed = match way {
                // A map has more with its tokens: their keys. The first page is asked for without any.
                [map, (_, "*")] => without(&list, self.codec, *map),
                way => edit(&list, self.codec, way, &mut |_| Ok(Edit::Remove)),
            };
            list = removed.map_err(unreadable)?;
        }
        if self.codec == Codec::Json {
            // The order and the spaces are no part of it.
            let json: serde_json::Value =
                serde_json::from_slice(&list).map_err(|_| unreadable(Unreadable))?;
            list = json.to_string().into_bytes();
        }
        let list = URL_SAFE_NO_PAD.encode(self.keys.mac("list of a page token", &list));
        let seen = self.keys.mac("sight of a page token", format!("{:?}", sight.limits()).as_bytes());
        let whose = format!("page token of {} {} {list}", URL_SAFE_NO_PAD.encode(seen), self.paging.rpc);
        let context = self.context.get_or_init(|| whose);
        let mut opened = message.to_vec();
        for way in self.paging.asked {
            let mut is_ours = true;
            opened = edit(&opened, self.codec, way, &mut |token| {
                let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(Edit::Keep) };
                Ok(self.unseal(context, token).map_or_else(
                    || {
                        is_ours = false;
                        Edit::Keep
                    },
                    Edit::Replace,
                ))
            })
            .map_err(unreadable)?;
            if !is_ours {
                let field = way.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(".");
                let message =
                    format!("{field} is no page token of this list for you: start with the first page");
                return Err(Refusal::new(Code::InvalidArgument, message));
            }
        }
        Ok(opened)
    }

    /// The answer with our tokens in place of the backend's.
    ///
    /// # Errors
    /// [`Unreadable`] if it is no such answer, or comes before a request.
    pub(super) fn seal(&self, message: &[u8]) -> Result<Vec<u8>, Unreadable> {
        let context = self.context.get().ok_or(Unreadable)?;
        let mut sealed = message.to_vec();
        for way in self.paging.answered {
            sealed = edit(&sealed, self.codec, way, &mut |token| {
                let token = token.ok_or(Unreadable)?;
                // None: this is the last page.
                if token.is_empty() {
                    return Ok(Edit::Keep);
                }
                let length = u32::try_from(token.len()).map_err(|_| Unreadable)?;
                let mut content = [&length.to_be_bytes()[..], token.as_bytes()].concat();
                content.resize(content.len().next_multiple_of(PADDING), 0);
                let content = self.keys.hide(context, &content).map_err(|_| Unreadable)?;
                Ok(Edit::Replace(URL_SAFE_NO_PAD.encode(content)))
            })?;
        }
        Ok(sealed)
    }

    fn unseal(&self, context: &str, token: &str) -> Option<String> {
        let content = self.keys.reveal(context, &URL_SAFE_NO_PAD.decode(token).ok()?)?;
        let (length, content) = content.split_first_chunk::<HEAD>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        String::from_utf8(content.get(..length)?.to_vec()).ok()
    }
}

#[cfg(test)]
pub(super) fn lists() -> impl Iterator<Item = (&'static str, Vec<&'static [Field]>, Vec<&'static [Field]>)> {
    LISTS.iter().map(|paging| (paging.rpc, paging.asked.to_vec(), paging.answered.to_vec()))
}
