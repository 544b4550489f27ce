//! Shows a followed run to the user.

use std::collections::BTreeMap;

use flyte_auth::Transport;
use flyte_client::action::{ActionDetails, ROOT, RunId};
use flyte_client::follow::{Event, Follow};
use flyte_client::{Client, ClientError, Phase};
use serde::Serialize;
use serde_json::Value;

use crate::command::get::{io, run as shown};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};
use crate::time;

/// How a followed run ended, for programs.
#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    details: &'a ActionDetails,
    outputs: &'a BTreeMap<String, Value>,
}

/// Follows a run until it ends or the user stops following.
pub(crate) fn watch(context: &Context, client: &Client<Transport>, id: &RunId) -> Result<Exit, Failure> {
    let name = &id.name;
    let format = context.global.format;
    let followed = context.run(&format!("Run {name} is queued"), async {
        let mut follow = client.follow(id.action(ROOT)).known();
        let mut phase = Phase::Unknown;
        let stop = tokio::signal::ctrl_c();
        tokio::pin!(stop);
        loop {
            let event = tokio::select! {
                event = follow.next() => event.map_err(|error| lost(name, ROOT, &follow, &error))?,
                _ = &mut stop => return Ok(None),
            };
            match event {
                None => break,
                Some(Event::Changed(details)) => {
                    if details.action.phase != phase {
                        phase = details.action.phase;
                        tell_phase(context, name, &details);
                    }
                }
                Some(Event::Line(_, line)) => {
                    let text = output::printable(&line.text.replace('\t', "    "));
                    let mut written = Ok(());
                    context.progress.around(|| match format {
                        Format::Table => written = output::write(&format!("{text}\n")),
                        _ => output::tell(&text),
                    });
                    written?;
                }
                Some(Event::Lost(why)) => context.progress.tell(&away(&why)),
                Some(Event::Found) => context.progress.tell(FOUND),
            }
        }
        Ok(follow.last().cloned())
    })?;
    let Some(details) = followed else {
        output::tell(&format!(
            "\nRun {name} continues.\n  Follow it again: flyte get logs {name} --follow\n  Stop it: flyte abort run {name}"
        ));
        return Ok(Exit::Interrupted);
    };
    let succeeded = details.action.phase.is_a_success();
    let outputs = if succeeded {
        let data = client.data();
        let found = context.run("Fetching the outputs", async {
            data.get(&id.action(ROOT)).await.map_err(|error| {
                Failure::resource(
                    format!("run {name} succeeded, but its outputs cannot be shown"),
                    &error,
                    "run",
                )
            })
        });
        found?.outputs
    } else {
        BTreeMap::new()
    };
    match format {
        Format::Table if succeeded => {
            if !outputs.is_empty() {
                output::write(&format!("Outputs:\n{}", output::block(&io::named(&outputs))))?;
            }
        }
        Format::Table => output::tell(shown::ending(&details).trim_end()),
        format => output::print(format, &Ended { details: &details, outputs: &outputs }, |_| String::new())?,
    }
    Ok(if succeeded { Exit::Success } else { Exit::Run })
}

/// The message when the server answers again.
pub(crate) const FOUND: &str = "The server answers again.";

/// The message when the server does not answer.
pub(crate) fn away(why: &str) -> String {
    format!("The server does not answer: {why}. Retrying for up to a minute ...")
}

/// The failure if an action cannot be followed any longer. The action itself continues.
pub(crate) fn lost(run: &str, action: &str, follow: &Follow<Transport>, error: &ClientError) -> Failure {
    let (what, again) = match action {
        ROOT => (format!("run {run}"), run.to_owned()),
        action => (format!("action {action} of run {run}"), format!("{run} {action}")),
    };
    let failure = Failure::resource(format!("cannot follow {what}"), error, &format!("action {run}"));
    match follow.last() {
        _ if !error.is_temporary() => failure,
        // It is unknown whether the run exists.
        None => failure,
        Some(details) if details.action.phase.is_over() => {
            failure.next(format!("It has ended. See its whole log: flyte get logs {again}"))
        }
        Some(_) => failure.next(format!("It continues. Follow it again: flyte get logs {again} --follow")),
    }
}

fn tell_phase(context: &Context, name: &str, details: &ActionDetails) {
    let action = &details.action;
    let attempt = if action.attempts > 1 { format!(" (attempt {})", action.attempts) } else { String::new() };
    if action.phase.is_over() {
        let took = action.duration_ms.map(|ms| format!(" after {}", time::took(ms))).unwrap_or_default();
        let verb = match action.phase {
            Phase::Aborted => "was aborted".to_owned(),
            Phase::TimedOut => "timed out".to_owned(),
            phase => phase.to_string(),
        };
        context.progress.tell(&format!("Run {name} {verb}{took}."));
        return;
    }
    context.progress.tell(&format!("Run {name} is {}{attempt}.", said(action.phase)));
    context.progress.show(format!("Run {name} is {}", said(action.phase)));
}

fn said(phase: Phase) -> String {
    phase.to_string()
}
