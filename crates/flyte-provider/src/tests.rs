//! Sign-ins through a provider that lies.

mod answers;
mod github;
mod logout;
mod recheck;
mod requests;
mod tokens;

use serde_json::Value;
use url::Url;

use crate::{
    Attempt, Callback, Profile, Provider, ProviderError, Wishes,
    testing::{TestProvider, settings},
};
use flyte_issuer::Authorities;
use flyte_model::clock::Clock;
use flyte_settings::ProviderConfig;
use flyte_testing::NOW;

struct World {
    clock: Clock,
    remote: TestProvider,
    provider: Provider,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let remote = TestProvider::start().await;
        let clock = Clock::manual(NOW);
        let mut settings = settings(&remote.url);
        change(&mut settings);
        let callback = "https://localhost:8443/login/with/corp/callback".to_owned();
        let provider = Provider::new(settings, callback, Authorities::default(), clock.clone());
        Self { clock, remote, provider }
    }

    async fn begin(&self) -> (Url, Attempt) {
        let (url, _, attempt) = self.provider.begin(&Wishes::default()).await.unwrap();
        (url, attempt)
    }

    async fn finish(&self, code: &str, attempt: &Attempt) -> Result<Profile, ProviderError> {
        let callback = Callback { code: code.into(), issuer: None };
        self.provider.finish(&callback, attempt).await.map(|confirmed| confirmed.profile)
    }

    async fn sign_in(&self) -> Result<Profile, ProviderError> {
        let (url, attempt) = self.begin().await;
        let code = self.remote.sign_in(&url);
        self.finish(&code, &attempt).await
    }

    /// Signs in with changed claims; returns the refusal.
    async fn wrong(&self, claims: Value) -> String {
        self.remote.claim(claims);
        let error = self.sign_in().await.unwrap_err();
        assert!(matches!(error, ProviderError::Wrong(_)), "{error}");
        error.to_string()
    }
}
