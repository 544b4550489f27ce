//! The running server: its port, its periodic tasks, and its shutdown.

mod banner;
mod connections;
mod descriptors;
mod framing;
mod upkeep;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsAcceptor};
use hyper_util::rt::TokioTimer;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::connections::{LimitedAcceptor, Limits};
use crate::{
    bootstrap::{self, BootstrapError},
    router::router,
};
use flyte_http::Readiness;
use flyte_model::{Stopping, clock::Clock};
use flyte_settings::Loaded;

/// The maximum time at shutdown for writing the audit log to the database.
const AUDIT_FLUSH: Duration = Duration::from_secs(10);

/// The reason why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A part of the server could not be created or opened.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The server cannot listen on the port.
    #[error("cannot listen on {address}: {source}; use another address with --listen ADDRESS:PORT")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The operating system failed.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
}

/// Runs the server until SIGTERM or SIGINT, then finishes running requests.
///
/// # Errors
/// [`ServeError`] if the server cannot start or fails.
pub async fn run(loaded: Loaded) -> Result<(), ServeError> {
    let settings = loaded.shown();
    let mut config = loaded.config;
    let open_files = descriptors::raise();
    // The port comes first, so that a second server on it fails before it creates anything.
    let listener = TcpListener::bind(config.listen)
        .map_err(|source| ServeError::Listen { address: config.listen, source })?;
    listener.set_nonblocking(true)?;
    config.listen = listener.local_addr()?;
    if config.public_url.port() == Some(0) {
        // An https URL always has a port that can be set.
        let _ = config.public_url.set_port(Some(config.listen.port()));
    }
    let bootstrap::Prepared { app, tls, data_dir, first_admin } =
        bootstrap::prepare(config, settings, Clock::default()).await?;
    let tls = tls.map(Arc::new);
    banner::show(&app.config, tls.as_deref().and_then(|tls| tls.bundle()), first_admin.as_ref());
    // Before clients can find the server: a signal without a handler would kill the process.
    let signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut upkeep = upkeep::start(Arc::clone(&app), tls.clone())?;
    tracing::info!(url = %app.config.issuer(), listen = %app.config.listen, data = %data_dir.path().display(), "serving");

    let readiness = Readiness::default();
    let handle = Handle::new();
    let stopping = tokio::spawn(stop_on_signal(
        signals,
        handle.clone(),
        readiness.clone(),
        app.stopping.clone(),
        Duration::from_secs(app.config.http.drain_delay.unsigned_abs()),
        Duration::from_secs(app.config.http.drain_timeout.unsigned_abs()),
    ));
    let head = Duration::from_secs(app.config.http.header_timeout.unsigned_abs());
    let ping = Duration::from_secs(app.config.http.keep_alive_interval.unsigned_abs());
    let limits = Limits::new(&app.config.http, open_files);
    let service = router(Arc::clone(&app), readiness).into_make_service_with_connect_info::<SocketAddr>();
    // In addition to hyper's time limits, which start after the first bytes have shown whether it is HTTP/1 or
    // HTTP/2.
    let mut server = axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(head);
    let builder = server.http_builder();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(framing::MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(ping))
        .keep_alive_timeout(ping.min(Duration::from_secs(20)))
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10);
    let outcome = match &tls {
        Some(tls) => {
            let encrypted =
                RustlsAcceptor::new(tls.acceptor()).handshake_timeout(head).acceptor(NoDelayAcceptor::new());
            server.acceptor(LimitedAcceptor::new(encrypted, limits)).serve(service).await
        }
        None => server.acceptor(LimitedAcceptor::new(NoDelayAcceptor::new(), limits)).serve(service).await,
    };
    stopping.abort();
    upkeep.shutdown().await;
    if tokio::time::timeout(AUDIT_FLUSH, app.audit.flush()).await.is_err() {
        tracing::error!("the database failed: the last audit events are only in this log");
    }
    app.write_usage().await.map_err(BootstrapError::Store)?;
    outcome?;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for a signal, waits for load balancers to notice, and then lets running requests finish. A second signal
/// ends them.
async fn stop_on_signal(
    (mut terminate, mut interrupt): (Signal, Signal),
    handle: Handle<SocketAddr>,
    readiness: Readiness,
    stopping: Stopping,
    delay: Duration,
    timeout: Duration,
) {
    let mut stop = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    stop().await;
    tracing::info!(seconds = (delay + timeout).as_secs(), "stopping: running requests may finish");
    readiness.drain();
    tokio::select! {
        () = tokio::time::sleep(delay) => {
            // Endless streams end first; their clients reconnect to another replica, or later.
            stopping.stop();
            handle.graceful_shutdown(Some(timeout));
        }
        () = stop() => handle.shutdown(),
    }
    stop().await;
    tracing::warn!("stopping immediately");
    handle.shutdown();
}
