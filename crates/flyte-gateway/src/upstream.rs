//! A backend: its addresses, and which of them gets a call.

mod address;
mod answer;
mod dial;
mod error;
mod health;
mod http1;
mod http2;
mod outbound;
mod sniff;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, Response};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, sleep, timeout},
};

use self::address::Address;
pub(crate) use self::answer::Answer;
pub use self::error::UpstreamError;
pub(crate) use self::outbound::{Chunks, Outbound, RequestEnded, Rest};
use crate::options::UpstreamOptions;

/// How often a request that the backend has not begun with is sent again.
const MAX_ATTEMPTS: usize = 4;
/// The most expensive questions that are open at the same time.
const MAX_EXPENSIVE_QUESTIONS: usize = 4;

/// A backend.
#[derive(Debug)]
pub struct Upstream {
    options: Arc<UpstreamOptions>,
    addresses: RwLock<Arc<[Arc<Address>]>>,
    resolver: Resolver,
    /// When the name was last resolved, or an attempt failed.
    resolved: Mutex<Option<Instant>>,
    /// Lets a few expensive questions be open at the same time.
    pub(crate) expensive: Semaphore,
}

/// Finds the addresses of a backend.
type Look = dyn Fn(Arc<UpstreamOptions>) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

struct Resolver(Box<Look>);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Upstream {
    /// A backend without connections.
    #[must_use]
    pub fn new(options: UpstreamOptions) -> Self {
        Self::resolved_by(options, Box::new(|options| look_up(options).boxed()))
    }

    fn resolved_by(options: UpstreamOptions, look: Box<Look>) -> Self {
        Self {
            options: Arc::new(options),
            addresses: RwLock::new(Arc::new([])),
            resolver: Resolver(look),
            resolved: Mutex::new(None),
            expensive: Semaphore::new(MAX_EXPENSIVE_QUESTIONS),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// The scheme and the authority of its URL.
    pub(crate) fn base(&self) -> (&str, &str) {
        (self.options.url.scheme(), self.options.url.authority())
    }

    /// Whether requests with this host are for it.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.options.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// The addresses that are known now.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.known().iter().map(|one| one.address).collect()
    }

    /// Whether it can be reached: an address of it has passed the last health check. A backend without a health check counts as
    /// reachable while its name has an address.
    #[must_use]
    pub fn is_reachable(&self) -> bool {
        let now = Instant::now();
        let reachable = |one: &Arc<Address>| match &self.options.health {
            Some(_) => one.is_reachable(now),
            None => one.is_available(now),
        };
        self.known().iter().any(reachable)
    }

    fn known(&self) -> Arc<[Arc<Address>]> {
        Arc::clone(&self.addresses.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends a request and waits for the head of the answer. Sends it again if the backend has surely not begun with it.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        mut outbound: Outbound,
    ) -> Result<Response<Answer>, UpstreamError> {
        let mut tried = HashSet::new();
        let mut attempt = 1;
        loop {
            let address = match self.choose_known(&tried) {
                Some(address) => address,
                None => Box::pin(self.choose(&tried)).await?,
            };
            let answer = Arc::clone(&address).send(request.clone(), &mut outbound).await;
            let error = match answer {
                Ok(answer) => {
                    address.note(false);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.is_failure() {
                address.note(true);
            }
            tracing::debug!(backend = self.name(), address = %address.address, ?error, attempt, "a backend gave no answer");
            if attempt == MAX_ATTEMPTS || !error.is_unprocessed() || !outbound.is_replayable() {
                return Err(error);
            }
            let is_of_connection = !matches!(error, UpstreamError::Refused);
            if is_of_connection {
                tried.insert(address.address);
                // The addresses may have been replaced.
                self.resolve_after_failure().await;
                if self.known().iter().all(|one| tried.contains(&one.address)) {
                    return Err(error);
                }
            } else if attempt > 1 {
                sleep(address::RETRY_DELAY * u32::try_from(attempt).unwrap_or(1)).await;
            }
            attempt += 1;
        }
    }

    /// The address with the fewest calls among those that work. If none of them does, each is as good as another. `None` if no
    /// address is known that was not tried.
    fn choose_known(&self, tried: &HashSet<SocketAddr>) -> Option<Arc<Address>> {
        let known = self.known();
        let now = Instant::now();
        let least = |available: bool| {
            let fits =
                |one: &&Arc<Address>| !tried.contains(&one.address) && (!available || one.is_available(now));
            known.iter().filter(fits).min_by_key(|one| one.load()).cloned()
        };
        least(true).or_else(|| least(false))
    }

    /// The same, after the name was resolved if it has not been yet.
    async fn choose(&self, tried: &HashSet<SocketAddr>) -> Result<Arc<Address>, UpstreamError> {
        if self.known().is_empty() {
            self.resolve(Instant::now()).await?;
        }
        self.choose_known(tried).ok_or_else(|| {
            UpstreamError::Resolve(Arc::new(io::Error::other("the name of the backend has no address")))
        })
    }

    /// Resolves the name, unless that was done after `since`.
    async fn resolve(&self, since: Instant) -> Result<(), UpstreamError> {
        let mut resolved = self.resolved.lock().await;
        if resolved.is_some_and(|at| at > since) && !self.known().is_empty() {
            return Ok(());
        }
        let found =
            match timeout(self.options.connect_timeout, (self.resolver.0)(Arc::clone(&self.options))).await {
                Ok(found) => found,
                Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
            };
        *resolved = Some(Instant::now());
        let found = found.and_then(|found| match found.as_slice() {
            [] => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            _ => Ok(found),
        });
        let found = found.map_err(|error| UpstreamError::Resolve(Arc::new(error)))?;
        self.replace(&found);
        Ok(())
    }

    /// Resolves the name again, but not for each of many calls that fail at the same time.
    async fn resolve_after_failure(&self) {
        let Some(since) = Instant::now().checked_sub(self.options.resolve_interval / 10) else { return };
        if let Err(error) = self.resolve(since).await {
            tracing::debug!(backend = self.name(), ?error, "a backend's name cannot be resolved");
        }
    }

    /// Replaces the addresses. Those that stay keep their connections; calls on the others continue.
    fn replace(&self, found: &[SocketAddr]) {
        let known = self.known();
        let kept = found.iter().map(|address| match known.iter().find(|one| one.address == *address) {
            Some(one) => Arc::clone(one),
            None => Arc::new(Address::new(*address, Arc::clone(&self.options))),
        });
        let new: Arc<[_]> = kept.collect();
        *self.addresses.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// Resolves the name again and closes connections that are not needed. To be called in the interval of
    /// [`UpstreamOptions::resolve_interval`].
    pub async fn maintain(&self) {
        if let Err(error) = self.resolve(Instant::now()).await {
            // The known addresses stay: they may well work.
            tracing::warn!(backend = self.name(), %error, "a backend's name cannot be resolved");
        }
        for address in self.known().iter() {
            address.tidy();
        }
    }
}

/// The addresses of the backend's host, each once.
async fn look_up(options: Arc<UpstreamOptions>) -> io::Result<Vec<SocketAddr>> {
    let port = options.url.port_or_known_default().unwrap_or(80);
    let host = options.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    found.sort_unstable();
    found.dedup();
    Ok(found)
}
