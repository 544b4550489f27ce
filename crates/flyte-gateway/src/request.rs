//! The messages of a request, each judged before it is sent.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use bytes::Bytes;
use flyte_access::{
    Caller,
    door::{Door, Message, Rpc},
};
use flyte_protocol::{Call, Code, Codec, Form, Refusal, RequestReader};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

use crate::{
    Backend, Gateway,
    filter::Filter,
    namesakes::{self, Known},
    refusal,
    upstream::{Chunks, Outbound, RequestEnded, Rest},
};

/// Who calls what.
pub(crate) struct Judge {
    pub(crate) gateway: Arc<Gateway>,
    /// Where the call goes.
    pub(crate) backend: Arc<Backend>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) rpc: &'static Rpc,
    pub(crate) codec: Codec,
    pub(crate) filter: Option<Filter>,
    /// What was found out about the first message.
    pub(crate) known: Arc<OnceLock<Known>>,
}

impl Judge {
    /// The message as the backend is to get it.
    async fn pass(&self, bytes: Bytes) -> Result<Bytes, Refusal> {
        let message = match self.codec {
            Codec::Proto => Message::Binary(&bytes),
            Codec::Json => Message::Json(&bytes),
        };
        let path = format!("/{}", self.rpc.name);
        let storage = &*self.gateway.parts.storage;
        if let Err(why) = Door::published().pass(&self.caller, &path, message, storage) {
            let refusal = refusal::of_door(&self.gateway.parts.audit, &self.caller, self.rpc, why);
            return Err(Box::pin(refusal).await);
        }
        let changed = self.filter.as_ref().map(|filter| filter.see_request(&bytes)).transpose()?.flatten();
        if let Some(target) = namesakes::target(&self.caller, self.rpc, self.codec, &bytes) {
            let (gateway, upstream) = (&*self.gateway, &self.backend.upstream);
            let known = Box::pin(namesakes::check(gateway, upstream, (&self.caller, self.rpc), target));
            let known = known.await?;
            // The first message decides.
            let _ = self.known.set(known);
        }
        Ok(changed.map_or(bytes, Bytes::from))
    }
}

/// The messages of a request, decompressed and judged.
pub(crate) struct Messages {
    /// `None` after its end.
    body: Option<Body>,
    reader: RequestReader,
    judge: Judge,
}

impl Messages {
    pub(crate) fn new(call: &Call, body: Body, judge: Judge) -> Self {
        let reader = RequestReader::new(call, judge.gateway.options.max_message);
        Self { body: Some(body), reader, judge }
    }

    /// The next message; `None` at the end. Nothing is lost if the future is dropped.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(message) = self.reader.next_message()? {
                return self.judge.pass(message).await.map(Some);
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.frame().await {
                // Trailers of a request mean nothing in any of the protocols.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.reader.push(bytes)?;
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "a caller did not send its request to the end");
                    self.body = None;
                    return Err(Refusal::new(Code::Canceled, "the request was not sent to its end"));
                }
                None => {
                    self.body = None;
                    self.reader.end();
                }
            }
        }
    }

    /// Waits for the first message, and returns what can be sent to the backend then. `refused` gets the refusal of a later
    /// message.
    ///
    /// # Errors
    /// The refusal of the first message.
    pub(crate) async fn begin(
        mut self,
        form: Form,
        refused: oneshot::Sender<Refusal>,
    ) -> Result<Outbound, Refusal> {
        let frame = |message| form.upstream().frame(message);
        // No RPC takes a request without a message, and nothing can be judged in one.
        let Some(first) = self.next().await? else {
            return Err(Refusal::new(Code::InvalidArgument, "the request has no message"));
        };
        let first = frame(first);
        // Most requests have one message, and their end has arrived with it.
        let second = match self.next().now_or_never() {
            Some(Ok(None)) => return Ok(Outbound::whole(first)),
            Some(Ok(Some(second))) => Some(second),
            Some(Err(refusal)) => return Err(refusal),
            None => None,
        };
        let second = stream::iter(second.map(|second| Ok(frame(second))));
        let rest = stream::unfold(Some((self, refused)), move |rest| async move {
            let (mut messages, refused) = rest?;
            match messages.next().await {
                Ok(None) => None,
                Ok(Some(message)) => Some((Ok(form.upstream().frame(message)), Some((messages, refused)))),
                Err(refusal) => {
                    // Without a receiver, the call has ended.
                    let _ = refused.send(refusal);
                    Some((Err(RequestEnded), None))
                }
            }
        });
        let rest: Chunks = Box::pin(second.chain(rest));
        Ok(Outbound { first, rest: Rest::Some(rest) })
    }
}
