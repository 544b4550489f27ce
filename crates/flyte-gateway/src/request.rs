//! The messages of a request, each judged before it is sent.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use flyte_access::{
    Caller,
    door::{Door, Message, Rpc},
};
use flyte_protocol::{Call, Code, Codec, Form, Refusal, RequestReader};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http_body_util::BodyExt as _;
use tokio::{sync::oneshot, time::timeout};

use crate::{
    Backend, Gateway,
    filter::Filter,
    namesakes::{self, Known},
    refusal,
    reservation::Reservation,
    upstream::{Chunks, Outbound, RequestEnded, Rest},
};

/// How long a call waits for others with the same name.
const RESERVATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What begins a call.
pub(crate) struct Begun {
    /// What can be sent to the backend.
    pub(crate) outbound: Outbound,
    /// What was found out about the first message.
    pub(crate) known: Known,
    /// The name that no other call may have until this one is answered.
    pub(crate) reservation: Option<Reservation>,
}

/// Who calls what.
pub(crate) struct Judge {
    pub(crate) gateway: Arc<Gateway>,
    /// Where the call goes.
    pub(crate) backend: Arc<Backend>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) rpc: &'static Rpc,
    pub(crate) codec: Codec,
    pub(crate) filter: Option<Filter>,
}

impl Judge {
    /// The message as the backend is to get it, and what was found out about it.
    async fn pass(&self, bytes: Bytes) -> Result<(Bytes, Known), Refusal> {
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
        let known = match namesakes::target(&self.caller, self.rpc, self.codec, &bytes) {
            Some(target) => {
                let (gateway, upstream) = (&*self.gateway, &self.backend.upstream);
                Box::pin(namesakes::check(gateway, upstream, (&self.caller, self.rpc), target)).await?
            }
            None => Known::default(),
        };
        Ok((changed.map_or(bytes, Bytes::from), known))
    }

    /// Waits until no other call has the name that this message is about, if it needs it alone.
    async fn reserve(&self, bytes: &Bytes) -> Result<Option<Reservation>, Refusal> {
        let Some(name) = namesakes::reserved_name(self.rpc, self.codec, bytes) else { return Ok(None) };
        let reserved = timeout(RESERVATION_TIMEOUT, self.backend.reservations.reserve(name)).await;
        let busy = |_| {
            let message = "other calls about something of this name have not ended; try again later";
            Refusal::new(Code::Aborted, message)
        };
        reserved.map(Some).map_err(busy)
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

    /// The next message, before it is judged; `None` at the end. Nothing is lost if the future is dropped.
    async fn take(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(message) = self.reader.next_message()? {
                return Ok(Some(message));
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

    /// The next message, judged; `None` at the end. A message is lost if the future is dropped while it is judged.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(message) = self.take().await? else { return Ok(None) };
        self.judge.pass(message).await.map(|(message, _)| Some(message))
    }

    /// Waits for the first message. `refused` gets the refusal of a later one.
    ///
    /// # Errors
    /// The refusal of the first message, or of one that has arrived with it.
    pub(crate) async fn begin(
        mut self,
        form: Form,
        refused: oneshot::Sender<Refusal>,
    ) -> Result<Begun, Refusal> {
        let frame = |message| form.upstream().frame(message);
        // No RPC takes a request without a message, and nothing can be judged in one.
        let Some(first) = self.take().await? else {
            return Err(Refusal::new(Code::InvalidArgument, "the request has no message"));
        };
        if namesakes::reserved_name(self.judge.rpc, self.judge.codec, &first).is_some() {
            return Box::pin(self.begin_alone(form, first)).await;
        }
        let (first, known) = self.judge.pass(first).await?;
        let first = frame(first);
        let begun = |outbound| Begun { outbound, known, reservation: None };
        // Most requests have one message, and their end has arrived with it.
        let second = match self.take().now_or_never() {
            Some(Ok(None)) => return Ok(begun(Outbound::whole(first))),
            // This may take a while, and must not be left unfinished.
            Some(Ok(Some(second))) => Some(Box::pin(self.judge.pass(second)).await?.0),
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
        Ok(begun(Outbound { first, rest: Rest::Some(rest) }))
    }

    /// Begins a call that has the name that it is about alone. Its request must have ended before, or a caller that does not end it
    /// would keep the name from others.
    async fn begin_alone(mut self, form: Form, first: Bytes) -> Result<Begun, Refusal> {
        if self.take().await?.is_some() {
            return Err(Refusal::new(Code::InvalidArgument, "the request has more than one message"));
        }
        let reservation = self.judge.reserve(&first).await?;
        let (first, known) = self.judge.pass(first).await?;
        let outbound = Outbound::whole(form.upstream().frame(first));
        Ok(Begun { outbound, known, reservation })
    }
}
