//! Streams of what stands now, and then of what changes.

use std::{collections::VecDeque, future::Future, sync::Arc};

use connectrpc::{ConnectError, ServiceStream};
use futures_util::stream;

use crate::ControlPlane;
use flyte_runs::Watcher;

/// What one look brought.
pub(crate) struct Look<S, M> {
    /// Where the next look goes on.
    pub(crate) state: S,
    /// What is to be sent.
    pub(crate) messages: Vec<M>,
    /// What follows.
    pub(crate) next: Next,
}

/// What follows a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one at once: there is more than it brought.
    More,
    /// Another one when something has changed.
    Wait,
    /// Nothing: the stream ends.
    End,
}

/// A stream in the making.
struct Following<S, M, F> {
    plane: Arc<ControlPlane>,
    watcher: Watcher,
    state: S,
    look: F,
    pending: VecDeque<M>,
    next: Next,
}

/// Looks at once, and again whenever something has changed; sends what that brings. A slow consumer is waited for and then
/// gets what stands at that time. When the server stops, the stream ends in an error that makes clients come back.
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
