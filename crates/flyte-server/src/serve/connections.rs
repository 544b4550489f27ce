//! Limits connections to the configured number, to the number of open files, and to a share for each address.

use std::{future::Future, io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::Layer as _;

use super::{descriptors, framing::Framed};
use flyte_http::{Share, Shares};
use flyte_model::Network;
use flyte_settings::HttpConfig;

/// The number of connections, and the addresses that are limited.
#[derive(Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
    /// For waiting connections, which need a file descriptor too.
    waiting: Arc<Semaphore>,
    shares: Arc<Shares>,
    trusted_proxies: Vec<Network>,
    patience: Duration,
}

impl Limits {
    /// Uses the configured limits, reduced if `open_files` is too low.
    pub(super) fn new(config: &HttpConfig, open_files: Option<usize>) -> Self {
        let (places, waiting) = descriptors::divide(config.max_connections, open_files);
        if places < config.max_connections {
            tracing::warn!(
                connections = places,
                open_files,
                "the limit of open files (ulimit -n) is too low for http.max-connections: fewer connections are accepted"
            );
        }
        Self {
            places: Arc::new(Semaphore::new(places)),
            waiting: Arc::new(Semaphore::new(waiting)),
            shares: Shares::of(places),
            trusted_proxies: config.trusted_proxies.clone(),
            // Longer than a silent connection keeps its place.
            patience: 2 * Duration::from_secs(config.header_timeout.unsigned_abs()),
        }
    }

    /// Waits for the place of a connection from `peer`. Few connections may wait, and none from an address that has
    /// used its share: a waiting connection needs a file descriptor too. A trusted proxy has no share, because it
    /// serves many users.
    async fn place(&self, peer: IpAddr) -> io::Result<Place> {
        let share = if self.trusted_proxies.iter().any(|network| network.contains(peer.to_canonical())) {
            None
        } else {
            Some(self.shares.take(peer).ok_or(io::ErrorKind::QuotaExceeded)?)
        };
        let permit = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = self.waiting.try_acquire().map_err(|_| io::ErrorKind::QuotaExceeded)?;
                let permit = timeout(self.patience, Arc::clone(&self.places).acquire_owned()).await?;
                permit.map_err(io::Error::other)?
            }
        };
        Ok(Place(Arc::new((permit, share))))
    }
}

/// The place of a connection. It is free again after the connection and its requests have ended.
#[derive(Clone, Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held")] Arc<(OwnedSemaphorePermit, Option<Share>)>);

/// Accepts connections like `inner`, but only a limited number at the same time.
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
    type Stream = Framed<A::Stream>;
    // The service lives as long as the connection and holds its place.
    type Service = AddExtension<A::Service, Place>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let (inner, limits) = (self.inner.clone(), Arc::clone(&self.limits));
        Box::pin(async move {
            let place = limits.place(stream.peer_addr()?.ip()).await?;
            let (stream, service) = inner.accept(stream, service).await?;
            Ok((Framed::new(stream), Extension(place).layer(service)))
        })
    }
}
