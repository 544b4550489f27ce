//! What a running server does by itself, each at its own interval.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
    time::MissedTickBehavior,
};

use crate::{app::App, tls::Tls};

/// Revocations by other replicas are to take effect within a second.
const REVOCATIONS: Duration = Duration::from_millis(500);
/// A new signing key of another replica is seen at once by its unknown `kid`; that one was dropped because it leaked
/// (`flyte-server rotate-keys --revoke`) is to take effect as soon.
const KEYS: Duration = Duration::from_secs(1);
/// Certificate files are looked at.
const CERTIFICATE: Duration = Duration::from_secs(10);
/// When API keys were last used is exact to a minute.
const USAGE: Duration = Duration::from_secs(30);
/// Expired records are removed.
const CLEAN_UP: Duration = Duration::from_secs(300);

/// Starts it. SIGHUP no longer kills the process when this returns.
///
/// # Errors
/// When SIGHUP cannot be received.
pub(super) fn start(app: Arc<App>, tls: Option<Arc<Tls>>) -> io::Result<JoinHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(tokio::spawn(async move {
        let [mut revocations, mut keys, mut certificate, mut usage, mut clean_up] =
            [REVOCATIONS, KEYS, CERTIFICATE, USAGE, CLEAN_UP].map(|period| {
                let mut interval = tokio::time::interval(period);
                interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                interval
            });
        loop {
            tokio::select! {
                _ = revocations.tick() => {
                    if let Err(error) = app.access.maintain(&app).await {
                        tracing::error!(%error, "revocations could not be read");
                    }
                }
                _ = keys.tick() => {
                    if let Err(error) = app.keys.maintain().await {
                        tracing::error!(%error, "the signing keys could not be looked after");
                    }
                }
                _ = certificate.tick() => {
                    if let Some(Err(error)) = tls.as_deref().map(|tls| tls.maintain(app.clock.now())) {
                        tracing::error!(%error, "the certificate in use stays");
                    }
                }
                _ = hangup.recv() => {
                    if let Some(Err(error)) = tls.as_deref().map(|tls| tls.reload(app.clock.now())) {
                        tracing::error!(%error, "the certificate in use stays");
                    }
                }
                _ = usage.tick() => {
                    if let Err(error) = app.access.write_usage(&app).await {
                        tracing::error!(%error, "the latest uses of API keys could not be noted");
                    }
                }
                _ = clean_up.tick() => remove_expired(&app).await,
            }
        }
    }))
}

async fn remove_expired(app: &App) {
    let now = app.clock.now();
    let removed = async {
        let sessions = app.store.delete_expired_sessions(now).await?;
        let devices = app.store.delete_expired_devices(now).await?;
        let revocations = app.store.delete_expired_revocations(now).await?;
        let revocations = revocations + app.store.delete_expired_assertions(now).await?;
        let grants = app.store.delete_expired_grants(now).await?;
        let kept_since = now.saturating_sub(app.config.audit.retention);
        let events = app.store.delete_audit_records_before(kept_since).await?;
        Ok::<_, crate::store::StoreError>((sessions, devices, grants + revocations, events))
    };
    match removed.await {
        Ok((0, 0, 0, 0)) => {}
        Ok((sessions, devices, grants, events)) => {
            tracing::debug!(sessions, devices, grants, events, "expired records were removed");
        }
        Err(error) => tracing::error!(%error, "expired records could not be removed"),
    }
}
