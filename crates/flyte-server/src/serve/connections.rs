//! No more connections than the configuration allows, and no more than its share for one address.

use std::{future::Future, io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::Layer as _;

use crate::{
    config::{HttpConfig, Network},
    http::{Share, Shares},
};

/// How many connections there may be, and who is limited.
#[derive(Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
    shares: Arc<Shares>,
    trusted_proxies: Vec<Network>,
    patience: Duration,
}

impl Limits {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            places: Arc::new(Semaphore::new(config.max_connections)),
            shares: Shares::of(config.max_connections),
            trusted_proxies: config.trusted_proxies.clone(),
            // Longer than those that say nothing keep their places.
            patience: 2 * Duration::from_secs(config.header_timeout.unsigned_abs()),
        }
    }

    /// The place of a connection from `peer`, once there is one. An address that has its share already is not let wait: what
    /// waits takes a file descriptor too. Everybody's connections may come from a trusted proxy.
    async fn place(&self, peer: IpAddr) -> io::Result<Place> {
        let share = if self.trusted_proxies.iter().any(|network| network.contains(peer.to_canonical())) {
            None
        } else {
            Some(self.shares.take(peer).ok_or(io::ErrorKind::QuotaExceeded)?)
        };
        let permit = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await?;
        Ok(Place(Arc::new((permit.map_err(io::Error::other)?, share))))
    }
}

/// The place of a connection, free again when the connection and the requests on it have ended.
#[derive(Clone, Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held")] Arc<(OwnedSemaphorePermit, Option<Share>)>);

/// Accepts as `inner` does, a limited number of connections at a time.
#[derive(Clone, Debug)]
pub(super) struct LimitedAcceptor<A> {
    inner: A,
    limits: Arc<Limits>,
}

impl<A> LimitedAcceptor<A> {
    pub(super) fn new(inner: A, limits: Limits) -> Self {
        Self { inner, limits: Arc::new(limits) }
    }
}

impl<A, S> Accept<TcpStream, S> for LimitedAcceptor<A>
where
    A: Accept<TcpStream, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: Send,
    A::Service: Send,
    S: Send + 'static,
{
    type Stream = A::Stream;
    // The service lives as long as the connection, and holds its place.
    type Service = AddExtension<A::Service, Place>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (inner, limits) = (self.inner.clone(), Arc::clone(&self.limits));
        Box::pin(async move {
            let place = limits.place(stream.peer_addr()?.ip()).await?;
            let (stream, service) = inner.accept(stream, service).await?;
            Ok((stream, Extension(place).layer(service)))
        })
    }
}
