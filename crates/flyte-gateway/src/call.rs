//! One call, from its head to the head of its answer.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use flyte_access::{
    Caller,
    door::{Door, RequiredScope, Rpc},
};
use flyte_model::{ClientAddr, clock::UnixMillis};
use flyte_protocol::{Call, Code, Form, Protocol, Refusal};
use http::{Method, StatusCode, Uri, header, request::Parts, uri::Authority};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::{Instant, timeout},
};

use crate::{
    Backend, Gateway, Upstream,
    answer::{self, Received},
    filter::Filter,
    headers,
    interrupt::Interrupt,
    namesakes::Known,
    new_run::{self, CREATE_RUN},
    refusal,
    request::{Begun, Judge, Messages},
    reservation::Reservation,
    streaming,
    upstream::Outbound,
};

/// Answers a call with the backend's answer, or with an error in the caller's protocol.
pub(crate) async fn serve(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let form = Form::for_errors(&parts);
    match forward(gateway, parts, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(form).map(Body::from).into_response(),
    }
}

async fn forward(gateway: Arc<Gateway>, parts: Parts, body: Body) -> Result<Response, Refusal> {
    let begun = Instant::now();
    let Admitted { caller, rpc, call, filter } = admit(&gateway, &parts).await?;
    let is_stream = streaming::is_stream(rpc, call.form);
    let mut slot = Arc::clone(&gateway.slots).try_acquire_owned().ok();
    if slot.is_none() {
        tracing::warn!("too many calls at a time: a call is refused");
        return Err(Refusal::new(Code::ResourceExhausted, "the server is busy; try again later"));
    }
    let limit = call.timeout.or((!is_stream).then_some(gateway.options.unary_timeout));
    // A deadline that the clock cannot express is none.
    let deadline = limit.and_then(|limit| begun.checked_add(limit));
    let stream = if is_stream {
        let open = gateway.parts.access.open_stream(&caller, &parts.headers);
        let open = open.map_err(|why| refusal::too_many_streams(why, &caller))?;
        Some((open, gateway.parts.stopping.clone()))
    } else {
        None
    };
    let (refuse, refused) = oneshot::channel();
    let of_token = (Arc::clone(&caller), gateway.parts.clock.clone());
    let mut interrupt = Interrupt::new(deadline, refused, stream, of_token);
    let backend = gateway
        .backend(headers::host(&parts.uri, &parts.headers))
        .ok_or_else(|| Refusal::new(Code::Unavailable, "this server has no backend"))?;
    let judge = Judge {
        gateway: Arc::clone(&gateway),
        backend: Arc::clone(&backend),
        caller: Arc::clone(&caller),
        rpc,
        codec: call.form.codec,
        filter: filter.clone(),
    };
    let messages = Messages::new(&call, body, judge);
    let asked_at = gateway.parts.clock.now_millis();
    let Backend { upstream, identity, .. } = &*backend;
    // In a place of its own, or each layer outside of this would carry it along.
    let answer = Box::pin(async {
        let begin = timeout(gateway.options.request_timeout, messages.begin(call.form, refuse));
        let Begun { outbound, known, reservation } = match begin.await {
            Ok(begun) => begun?,
            Err(_) => return Err(Refusal::new(Code::DeadlineExceeded, "the request did not arrive in time")),
        };
        // The backend finishes what it has begun, whether the caller waits or not.
        let is_kept = known != Known::OldRun && (rpc.name == CREATE_RUN || reservation.is_some());
        if is_stream && !is_kept {
            // The answer of a stream may begin after hours, with its first message. Streams have a limit of their own.
            slot = None;
        }
        let request = gateway.request(upstream, &parts, &call, rpc, deadline);
        let mut request =
            request.map_err(|_| Refusal::new(Code::Internal, "the call cannot be forwarded"))?;
        // This also removes what a client may have written there, so our own statements follow.
        let described = identity.write(&caller, request.headers_mut()).await;
        described.map_err(|error| refusal::of_identity(&error))?;
        let client = parts.extensions.get::<ClientAddr>().copied();
        headers::add_origin(client, &gateway.origin, request.headers_mut());
        let sending = Sending { gateway: &gateway, backend: &backend, call: &call, caller: &caller };
        match is_kept {
            true => {
                let free_at = (known == Known::New).then_some(asked_at);
                let run = (rpc.name == CREATE_RUN).then_some(free_at);
                let held = Held { slot: slot.take(), _reservation: reservation };
                let (answer, held) = Box::pin(sending.send_whole(request, outbound, run, held)).await?;
                // The name is free again.
                slot = held.slot;
                Ok(answer)
            }
            false => sending.send(request, outbound).await,
        }
    });
    let interrupted = std::future::poll_fn(|cx| interrupt.poll(cx));
    let answer = tokio::select! {
        biased;
        refusal = interrupted => Err(refusal),
        answer = answer => answer,
    }?;
    let limit = gateway.options.max_message;
    answer::pass(upstream.name(), call.form, answer, interrupt, slot, filter, limit).await
}

/// A time before the backend has said that there is no run of a name, if it has.
type FreeAt = Option<UnixMillis>;

/// What a call has until it is answered.
struct Held {
    slot: Option<OwnedSemaphorePermit>,
    _reservation: Option<Reservation>,
}

/// What is needed to send a call.
struct Sending<'s> {
    gateway: &'s Arc<Gateway>,
    backend: &'s Arc<Backend>,
    call: &'s Call,
    caller: &'s Arc<Caller>,
}

impl Sending<'_> {
    async fn send(self, request: http::Request<()>, outbound: Outbound) -> Result<Received, Refusal> {
        let upstream = &self.backend.upstream;
        let answer = upstream.send(request, outbound).await;
        let answer = answer.map_err(|error| answer::broken(upstream.name(), &error))?;
        answer::receive(upstream.name(), self.call, answer)
    }

    /// Sends a unary call and reads its answer, even if the caller does not wait for it. Until then it counts as a call, and has its
    /// name. If it starts a `run`, this remembers who did.
    async fn send_whole(
        self,
        request: http::Request<()>,
        outbound: Outbound,
        run: Option<FreeAt>,
        held: Held,
    ) -> Result<(Received, Held), Refusal> {
        let (gateway, backend) = (Arc::clone(self.gateway), Arc::clone(self.backend));
        let (call, caller) = (self.call.clone(), Arc::clone(self.caller));
        let sent = tokio::spawn(async move {
            let options = &gateway.options;
            let sending = Sending { gateway: &gateway, backend: &backend, call: &call, caller: &caller };
            let answered = async {
                let answer = sending.send(request, outbound).await?;
                answer.read(backend.upstream.name(), call.form, options.max_message).await
            };
            let late = || Refusal::new(Code::DeadlineExceeded, "the call took longer than its time limit");
            let answer = timeout(options.unary_timeout, answered).await.map_err(|_| late())??;
            if let Some(free_at) = run {
                new_run::remember(&gateway, &caller, call.form.codec, &answer, free_at).await;
            }
            Ok((answer, held))
        });
        sent.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call failed");
            Err(Refusal::new(Code::Internal, "the call failed"))
        })
    }
}

/// A call whose head is as it must be.
struct Admitted {
    caller: Arc<Caller>,
    rpc: &'static Rpc,
    call: Call,
    /// What the caller may not see of the answer.
    filter: Option<Filter>,
}

/// Decides by the head of a call.
async fn admit(gateway: &Gateway, parts: &Parts) -> Result<Admitted, Refusal> {
    let path = parts.uri.path();
    let rpc = Door::published().rpc(path).filter(|rpc| rpc.scope != RequiredScope::None);
    let rpc = rpc.ok_or_else(|| refusal::unknown(path))?;
    let caller = parts.extensions.get::<Arc<Caller>>();
    let caller =
        caller.ok_or_else(|| Refusal::new(Code::Unauthenticated, "this call needs an access token"))?;
    if let Err(why) = Door::published().admit(caller, path) {
        return Err(Box::pin(refusal::of_door(&gateway.parts.audit, caller, rpc, why)).await);
    }
    let call = Call::read(parts)?;
    // A page of another site can make a browser send a GET.
    if call.form.protocol == Protocol::ConnectGet && rpc.scope != RequiredScope::Read {
        let mut refusal = Refusal::new(Code::Unimplemented, "this RPC changes something: call it by POST");
        refusal.http_status = Some(StatusCode::METHOD_NOT_ALLOWED);
        return Err(refusal.with_header(header::ALLOW, http::HeaderValue::from_static("POST")));
    }
    let filter = Filter::new(caller, rpc, call.form.codec)?;
    let filter = filter.map(|filter| filter.with_tokens(rpc, &gateway.parts.keys));
    Ok(Admitted { caller: Arc::clone(caller), rpc, call, filter })
}

impl Gateway {
    /// The head of the request for the backend.
    fn request(
        &self,
        upstream: &Upstream,
        parts: &Parts,
        call: &Call,
        rpc: &Rpc,
        deadline: Option<Instant>,
    ) -> http::Result<http::Request<()>> {
        let left = deadline.filter(|_| call.timeout.is_some()).map(|deadline| deadline - Instant::now());
        let mut headers = call.upstream_headers(call.accepted, left);
        headers::forward_request(&parts.headers, &mut headers);
        // The path is that of the row that decided, not that of the request.
        let path = format!("/{}", rpc.name);
        let (scheme, own) = upstream.base();
        let authority = self.origin.authority.as_ref().map_or(own, Authority::as_str);
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build()?;
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}
