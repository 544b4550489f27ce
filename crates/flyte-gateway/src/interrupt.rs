//! What ends a call before its answer is complete.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use flyte_access::{Caller, OpenStream};
use flyte_model::{Stopping, clock::Clock};
use flyte_protocol::{Code, Refusal};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use crate::refusal;

/// Waits for what ends a call early.
pub(crate) struct Interrupt {
    wait: Pin<Box<dyn Future<Output = Refusal> + Send>>,
    caller: Arc<Caller>,
    clock: Clock,
}

impl Interrupt {
    /// Ends the call at the deadline and with the refusal of a later message; a stream also with its caller's rights and with
    /// the server.
    pub(crate) fn new(
        deadline: Option<Instant>,
        refused: oneshot::Receiver<Refusal>,
        stream: Option<(OpenStream, Stopping)>,
        (caller, clock): (Arc<Caller>, Clock),
    ) -> Self {
        let wait = async move {
            let at_deadline = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
                Refusal::new(Code::DeadlineExceeded, "the call took longer than its time limit")
            };
            let refused = async {
                match refused.await {
                    Ok(refusal) => refusal,
                    // All messages have passed.
                    Err(_) => std::future::pending().await,
                }
            };
            let ended = async {
                let Some((mut open, stopping)) = stream else { return std::future::pending().await };
                tokio::select! {
                    biased;
                    why = open.ended() => refusal::stream_ended(why),
                    () = stopping.stopped() => {
                        Refusal::new(Code::Unavailable, "the server is stopping; try again")
                    }
                }
            };
            tokio::select! {
                biased;
                refusal = ended => refusal,
                refusal = refused => refusal,
                refusal = at_deadline => refusal,
            }
        };
        Self { wait: Box::pin(wait), caller, clock }
    }

    /// Whether the call ends now.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        // No data may follow the end of the token, even if the end has not been noticed yet.
        if self.caller.expires_at <= self.clock.now() {
            let why = flyte_access::StreamEnd::Unauthenticated("the token has expired");
            return Poll::Ready(refusal::stream_ended(why));
        }
        self.wait.as_mut().poll(cx)
    }
}
