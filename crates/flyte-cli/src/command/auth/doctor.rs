//! `flyte auth doctor`: runs all checks in order, from the configuration to the server's answer.

mod configuration;
mod endpoints;
mod finding;
mod machine;
mod network;
mod sign_in;

use std::sync::Arc;

use flyte_auth::{Approval, SessionOptions, Unattended, state_dir};

use self::configuration::Examined;
use self::finding::Report;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output;

pub(super) fn run(global: Global) -> Result<Exit, Failure> {
    let format = global.format;
    let Examined { context, mut findings } = configuration::examine(global)?;
    let checked = context.run("Examining", async {
        let mut findings = Vec::new();
        let Some(endpoint) = context.config.admin.endpoint.clone() else {
            findings.extend(machine::without_endpoint(&context));
            findings.push(sign_in::api_key(&context).await);
            return Ok(findings);
        };
        // Do not prompt: if a check needs the user, that is a finding.
        let options = context.with_key(SessionOptions::from_config(
            endpoint,
            &context.config,
            &context.environment,
            Arc::new(Unattended),
        ));
        let (reached, network) = network::examine(&options).await;
        findings.extend(network);
        if let Some(approval) = Approval::needed(&context.config, state_dir(&context.environment).as_deref())
        {
            // The configuration may name commands. None of them is run.
            findings.push(sign_in::unapproved(&approval));
            findings.extend(machine::examine(&options).await);
            findings.push(sign_in::api_key(&context).await);
            return Ok(findings);
        }
        let discovered = sign_in::discover(&options, reached).await;
        let provider = discovered.provider();
        let token = sign_in::token(&context, &options, reached, &discovered).await;
        findings.push(sign_in::discovery(&options, &discovered, &token));
        if let Some(provider) = provider.filter(|_| sign_in::is_by_token_endpoint(options.auth_type)) {
            findings.extend(endpoints::examine(&options, provider).await);
        }
        findings.extend(sign_in::device_code(&options, provider).await);
        findings.extend(machine::examine(&options).await);
        findings.push(sign_in::api_key(&context).await);
        findings.push(token);
        Ok(findings)
    })?;
    findings.extend(checked);
    let report = Report::new(findings);
    output::print(format, &report, Report::table)?;
    Ok(if report.ok { Exit::Success } else { Exit::Failure })
}
