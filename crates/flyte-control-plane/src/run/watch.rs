//! Streams that send the current state and then each change.

use std::{collections::VecDeque, future::Future, sync::Arc};

use connectrpc::{ConnectError, ServiceStream};
use futures_util::stream;

use crate::ControlPlane;
use flyte_runs::Watcher;

/// The result of one read.
pub(crate) struct Look<S, M> {
    /// The state from which the next read continues.
    pub(crate) state: S,
    /// The messages to send.
    pub(crate) messages: Vec<M>,
    /// The next step.
    pub(crate) next: Next,
}

/// The next step after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Reads again at once, because there is more.
    More,
    /// Reads again after the next change.
    Wait,
    /// Ends the stream.
    End,
}

/// The state of a stream.
struct Following<S, M, F> {
    plane: Arc<ControlPlane>,
    watcher: Watcher,
    state: S,
    look: F,
    pending: VecDeque<M>,
    next: Next,
}

/// Calls `look` at once and after each change, and sends the messages. A slow reader gets the state at the time when it reads
/// again. If the server stops, the stream ends with `unavailable`, so that clients watch again.
pub(crate) fn follow<S, M, F, L>(
    plane: &Arc<ControlPlane>,
    watcher: Watcher,
    state: S,
    look: F,
) -> ServiceStream<M>
where
    S: Clone + Send + 'static,
    M: Send + 'static,
    F: Fn(Arc<ControlPlane>, S) -> L + Send + 'static,
    L: Future<Output = Result<Look<S, M>, ConnectError>> + Send,
{
    let following = Following {
        plane: Arc::clone(plane),
        watcher,
        state,
        look,
        pending: VecDeque::new(),
        next: Next::More,
    };
    Box::pin(stream::unfold(following, |mut following| async move {
        let item = following.item().await?;
        if item.is_err() {
            following.pending.clear();
            following.next = Next::End;
        }
        Some((item, following))
    }))
}

impl<S, M, F, L> Following<S, M, F>
where
    S: Clone,
    F: Fn(Arc<ControlPlane>, S) -> L,
    L: Future<Output = Result<Look<S, M>, ConnectError>>,
{
    async fn item(&mut self) -> Option<Result<M, ConnectError>> {
        loop {
            if let Some(message) = self.pending.pop_front() {
                return Some(Ok(message));
            }
            match self.next {
                Next::End => return None,
                Next::More => {}
                Next::Wait => tokio::select! {
                    () = self.watcher.changed() => {}
                    () = self.plane.stopping.stopped() => {
                        return Some(Err(ConnectError::unavailable("the server is stopping; watch again")));
                    }
                },
            }
            match (self.look)(Arc::clone(&self.plane), self.state.clone()).await {
                Ok(look) => {
                    self.state = look.state;
                    self.pending = look.messages.into();
                    self.next = look.next;
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
