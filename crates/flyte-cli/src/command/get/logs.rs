//! `flyte get logs`

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use flyte_client::ClientError;
use flyte_client::action::{ROOT, RunId};
use flyte_client::follow::Event;
use flyte_client::logs::Line;

use crate::command::run::watch;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::{self, Format};

/// Without --follow, the log counts as complete after this silence.
const SILENCE: Duration = Duration::from_millis(700);

#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Name of the run
    run: String,

    /// Name of the action. By default the root action of the run
    #[arg(default_value = ROOT, hide_default_value = true)]
    action: String,

    /// Follow the log until the action ends, including its retries
    #[arg(short, long)]
    follow: bool,

    /// Show only this number of existing lines, from the end
    #[arg(short, long, value_name = "COUNT")]
    lines: Option<usize>,

    /// Show when each line was written
    #[arg(long)]
    show_ts: bool,

    /// Number of the attempt. By default the latest
    #[arg(short, long, value_name = "NUMBER", conflicts_with = "follow", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,

    /// Leave out lines of the system, and show only those of the task
    #[arg(long)]
    filter_system: bool,
}

pub(super) fn run(arguments: &Arguments, context: &Context) -> Result<Exit, Failure> {
    let Arguments { run, action, .. } = arguments;
    let id = RunId::new(context.project_domain()?, run).action(action);
    let client = context.project_domain_client()?;
    let failed = |error: ClientError| {
        let what = format!("cannot show the log of action {action} of run {run}");
        Failure::resource(what, &error, &format!("action {run}"))
    };
    let mut printer = Printer {
        arguments,
        format: context.global.format,
        kept: VecDeque::new(),
        live: arguments.lines.is_none(),
    };
    if arguments.follow {
        let over = context.run("Waiting for the log", async {
            let mut follow = client.follow(id);
            let stop = tokio::signal::ctrl_c();
            tokio::pin!(stop);
            loop {
                let next = tokio::time::timeout(SILENCE, follow.next());
                let event = tokio::select! {
                    event = next => event,
                    _ = &mut stop => return Ok(None),
                };
                match event {
                    // The existing lines have arrived.
                    Err(_) => context.progress.around_result(|| printer.go_live())?,
                    Ok(Ok(Some(Event::Line(_, line)))) => {
                        context.progress.around_result(|| printer.line(line))?;
                    }
                    Ok(Ok(Some(Event::Changed(_)))) => {}
                    Ok(Ok(Some(Event::Lost(why)))) => context.progress.tell(&watch::away(&why)),
                    Ok(Ok(Some(Event::Found))) => context.progress.tell(watch::FOUND),
                    Ok(Ok(None)) => break,
                    Ok(Err(error)) => return Err(watch::lost(run, action, &follow, &error)),
                }
            }
            Ok(follow.last().map(|details| details.action.phase))
        })?;
        printer.go_live()?;
        return Ok(match over {
            Some(phase) if phase.is_a_success() => Exit::Success,
            Some(phase) => {
                output::tell(&format!("Action {action} of run {run} ended: {phase}."));
                Exit::Run
            }
            None => Exit::Interrupted,
        });
    }
    let message = context.run("Fetching the log", async {
        let details = client.actions().get(&id).await.map_err(failed)?;
        let attempt = arguments.attempt.unwrap_or(details.action.attempts);
        if attempt == 0 {
            return Ok(Some(format!("Action {action} of run {run} has not started yet.")));
        }
        let (logs, over) = (client.logs(), details.action.phase.is_over());
        // The log of an ended action ends by itself. Do not wait for that of a running one.
        let (log, silence) = if over {
            (logs.of_action(&id, attempt).await, SILENCE * 8)
        } else {
            (logs.of_action_until_now(&id, attempt).await, SILENCE)
        };
        let mut log = log.map_err(failed)?;
        loop {
            let line = tokio::time::timeout(silence, log.next()).await;
            match line {
                Ok(Ok(Some(line))) => context.progress.around_result(|| printer.line(line))?,
                Ok(Ok(None)) | Err(_) => return Ok(None),
                Ok(Err(error)) => return Err(failed(error)),
            }
        }
    })?;
    printer.go_live()?;
    if let Some(message) = message {
        output::tell(&message);
    }
    Ok(Exit::Success)
}

/// Writes lines, at first only the last ones if requested.
struct Printer<'a> {
    arguments: &'a Arguments,
    format: Format,
    kept: VecDeque<Line>,
    live: bool,
}

impl Printer<'_> {
    fn line(&mut self, line: Line) -> Result<(), Failure> {
        if line.system && self.arguments.filter_system {
            return Ok(());
        }
        if self.live {
            return self.write(&line);
        }
        self.kept.push_back(line);
        if self.kept.len() > self.arguments.lines.unwrap_or(usize::MAX) {
            self.kept.pop_front();
        }
        Ok(())
    }

    /// Writes the buffered lines, and from now on every line at once.
    fn go_live(&mut self) -> Result<(), Failure> {
        self.live = true;
        while let Some(line) = self.kept.pop_front() {
            self.write(&line)?;
        }
        Ok(())
    }

    fn write(&self, line: &Line) -> Result<(), Failure> {
        write(line, self.format, self.arguments.show_ts)
    }
}

/// Writes one line, with its time if `timed`.
pub(crate) fn write(line: &Line, format: Format, timed: bool) -> Result<(), Failure> {
    if format != Format::Table {
        // One object for each line, because a log may not end.
        let text =
            serde_json::to_string(line).map_err(|error| Failure::new("cannot write the log").why(error))?;
        return output::write(&format!("{text}\n"));
    }
    let text = output::printable(&line.text.replace('\t', "    "));
    let moment = line.at.filter(|_| timed).map(|at| {
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds of this age")]
        let milliseconds = (at * 1000.0) as i64;
        jiff::Timestamp::from_millisecond(milliseconds)
            .map_or_else(|_| at.to_string(), |at| at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    });
    match moment {
        Some(moment) => output::write(&format!("{moment} {text}\n")),
        None => output::write(&format!("{text}\n")),
    }
}
