//! What a caller who is limited to a project sees of an answer.
//!
//! The door has let the request pass: it names nothing outside of the caller's limit. The answer can still have something of
//! other projects in it, if the request asks for all of them. This module takes it out, message by message, by the
//! [table](table::ROWS):
//!
//! - Items of other projects are left out of lists. The page is shorter then, and still has a token: clients ask for pages until
//!   a page has none, and count the items that they get. [Tokens](tokens) are encrypted.
//! - Messages of a stream that had nothing else in them are left out.
//! - Counts stay if the request asks for the caller's own project and domain. Otherwise they are left out.
//! - Some answers do not say which project they are about. Their requests must name the caller's own.
//! - Errors that are about other projects read as "not found".
//! - An answer that is about something of another project reads as "not found" too, by the table of [subjects].
//!
//! What belongs to the caller stays as it is, byte for byte in the binary form. Callers without a limit get what the backend
//! sends, untouched and unread.

pub(crate) mod binary;
mod edit;
mod error;
mod json;
mod limit;
mod passage;
mod plan;
mod scope;
mod subjects;
mod table;
mod tokens;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use flyte_access::{
    Caller,
    door::{Reach, Rpc},
};
use flyte_keys::SigningKeys;
use flyte_policy::Permission;
use flyte_protocol::{Code, Codec, Refusal};

use self::{
    limit::Sight,
    plan::{Entry, Plan},
    tokens::Tokens,
};
pub(crate) use self::{passage::Passage, plan::json_name};

/// A message of the backend that cannot be read. It is not shown then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the backend's answer cannot be read")]
pub(crate) struct Unreadable;

/// Why a message of the backend is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Withheld {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It is about something outside of the caller's limit.
    #[error("the backend's answer is about another project")]
    Foreign,
}

impl From<Withheld> for Refusal {
    fn from(withheld: Withheld) -> Self {
        match withheld {
            Withheld::Unreadable(unreadable) => Self::new(Code::Internal, unreadable.to_string()),
            Withheld::Foreign => Self::new(Code::NotFound, "not found"),
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Whether an item was left out.
    has_dropped: bool,
    /// Whether nothing is left.
    is_empty: bool,
}

/// What one caller sees of the answers of one call.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    sight: Sight,
    entry: Option<&'static Entry>,
    codec: Codec,
    /// Whether the request asks for no more than the caller may see.
    is_scoped: Arc<AtomicBool>,
    /// The page tokens of a list.
    tokens: Option<Tokens>,
}

impl Filter {
    /// The filter for a call; `None` if the caller may see everything.
    ///
    /// # Errors
    /// A refusal if the answers of this RPC span projects and it is not known how to filter them.
    pub(crate) fn new(caller: &Caller, rpc: &Rpc, codec: Codec) -> Result<Option<Self>, Refusal> {
        // What needs no permission shows what is deployed, at most.
        let permission = rpc.permission.unwrap_or(Permission::ViewInventory);
        let Some(sight) = Sight::new(&caller.grants, permission) else { return Ok(None) };
        let plan = Plan::published().map_err(|fault| {
            tracing::error!(%fault, "answers cannot be filtered");
            Refusal::new(Code::Internal, "this server cannot filter answers")
        })?;
        let entry = plan.rpc(rpc.name);
        if entry.is_none() && rpc.reach == Reach::Projects {
            let message =
                format!("{} answers for all projects, and you are limited to one", rpc.short_name());
            return Err(Refusal::new(Code::PermissionDenied, message));
        }
        Ok(Some(Self { sight, entry, codec, is_scoped: Arc::new(AtomicBool::new(false)), tokens: None }))
    }

    /// The same filter, which also encrypts page tokens.
    pub(crate) fn with_tokens(self, rpc: &Rpc, keys: &Arc<SigningKeys>) -> Self {
        Self { tokens: Tokens::of(rpc.name, self.codec, keys), ..self }
    }

    /// Looks at a request that has passed the door, and returns it as the backend is to get it, if that differs.
    ///
    /// # Errors
    /// A refusal if the answer would not say what it is about, and the request does not limit it, or if it has a page token that
    /// is not for the caller.
    pub(crate) fn see_request(&self, message: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        self.see_scope(message)?;
        self.tokens.as_ref().map(|tokens| tokens.open(message, &self.sight)).transpose()
    }

    fn see_scope(&self, message: &[u8]) -> Result<(), Refusal> {
        let Some(row) = self.entry.map(|entry| entry.row) else { return Ok(()) };
        let Some(scope) = &row.scope else { return Ok(()) };
        let is_scoped = scope::is_within(scope, message, self.codec, &self.sight);
        self.is_scoped.store(is_scoped, Ordering::Relaxed);
        if is_scoped || !row.needs_scope {
            return Ok(());
        }
        let part = if self.sight.is_limited_to_domains() { "project and domain" } else { "project" };
        let message = format!("{}: name your {part}, to which you are limited", scope.project.1);
        Err(Refusal::new(Code::InvalidArgument, message))
    }

    /// Whether the answer must be read before the caller gets any of it.
    pub(crate) fn decides(&self) -> bool {
        self.entry.is_some_and(|entry| entry.has_subject && !entry.row.is_stream)
    }

    /// Decides whether there is an answer for the caller.
    ///
    /// # Errors
    /// The refusal if it is about something outside of the caller's limit.
    pub(crate) fn check(&self, message: &[u8]) -> Result<(), Refusal> {
        if self.decides() {
            self.message(message)?;
        }
        Ok(())
    }

    /// Whether the messages of the answer must be read.
    fn reads_messages(&self) -> bool {
        self.entry.is_some_and(|entry| !entry.answer.fields.is_empty())
    }

    /// The message as the caller sees it; `None` if it is one of a stream and nothing is left of it.
    ///
    /// # Errors
    /// [`Withheld`].
    fn message(&self, message: &[u8]) -> Result<Option<Vec<u8>>, Withheld> {
        let Some(entry) = self.entry else { return Ok(Some(message.to_vec())) };
        let keeps_totals = self.is_scoped.load(Ordering::Relaxed);
        let filter = match self.codec {
            Codec::Proto => binary::filter,
            Codec::Json => json::filter,
        };
        let (mut filtered, outcome) = filter(&entry.answer, message, &self.sight, keeps_totals)?;
        if let Some(tokens) = &self.tokens {
            filtered = tokens.seal(&filtered)?;
        }
        let is_dropped = entry.row.is_stream && outcome.has_dropped && outcome.is_empty;
        Ok((!is_dropped).then_some(filtered))
    }

    /// The error as the caller sees it.
    pub(crate) fn error(&self, refusal: Refusal) -> Refusal {
        error::filter(refusal, &self.sight)
    }
}
